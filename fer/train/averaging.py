"""Stochastic weight averaging: the equal average of the weights at the ends of a training's last epochs."""

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from fer.models.preparation import PreparedNetwork


def find_first_averaged_epoch(swa_start: float, max_epochs: int) -> int:
    """Find the first epoch, from 0, that ends after the fraction ``swa_start`` (below 1) of all epochs."""
    return next(epoch for epoch in range(max_epochs) if (epoch + 1) / max_epochs > swa_start)


def _average_equally(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    # Counters, as batch norm has, are taken over: a mean of them is no whole number.
    return averaged + (current - averaged) / (count + 1) if averaged.is_floating_point() else current


class EpochAverage(AveragedModel):
    """The average of a network's weights and buffers over the ends of epochs (arXiv:1803.05407).

    Before its first epoch ends it is a copy of the network, so that it always is what is validated.

    Args:
        network: The network to average.
        first_epoch: The first epoch, from 0, whose weights are averaged.
    """

    module: PreparedNetwork

    def __init__(self, network: PreparedNetwork, first_epoch: int) -> None:
        super().__init__(network, avg_fn=_average_equally, use_buffers=True)
        self.first_epoch = first_epoch

    def update(self, network: PreparedNetwork, epoch: int, ended: bool) -> None:
        """Take in the network's weights at a validation in ``epoch``, from 0; once there is an average, at its end."""
        if epoch > self.first_epoch and not ended:
            return
        # A training that goes on with another number of epochs may have averaged fewer than its phase had.
        averaged = min(int(self.n_averaged), max(epoch - self.first_epoch, 0))
        with torch.no_grad():
            self.n_averaged.fill_(averaged)
            self.update_parameters(network)
