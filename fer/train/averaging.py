"""Averages of a network's weights: a moving one after each step, or an equal one over the last epochs."""

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from typing_extensions import override

from fer.models.preparation import PreparedNetwork


class MovingAverage(ModelEmaV3):
    """timm's moving average of weights and buffers, of a network that stays where it is.

    Args:
        network: The network to average; its tensors change in place, and none is replaced after the first update.
        decay: What remains of the average after a step; less at the beginning.
    """

    module: PreparedNetwork

    def __init__(self, network: PreparedNetwork, decay: float) -> None:
        super().__init__(network, decay=decay, use_warmup=True)
        # (averaged, current): the numbers, and counters such as batch norm's.
        self.numbers: tuple[list[Tensor], list[Tensor]] | None = None
        self.counters: tuple[list[Tensor], list[Tensor]] = ([], [])

    @override
    def apply_update_(self, model: nn.Module, decay: float) -> None:
        # Collecting a network's tensors anew takes three times as long as averaging them.
        if self.numbers is None:
            self.numbers = ([], [])
            for mine, theirs in zip(self.module.state_dict().values(), model.state_dict().values(), strict=True):
                averaged, current = self.numbers if mine.is_floating_point() else self.counters
                averaged.append(mine)
                current.append(theirs)
        torch._foreach_lerp_(*self.numbers, weight=1.0 - decay)
        if self.counters[0]:
            torch._foreach_copy_(*self.counters)


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
