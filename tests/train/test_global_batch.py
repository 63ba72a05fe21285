"""A batch shared by several processes gives the loss, gradients, statistics and masks of one process."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as spawning
from torch import nn

from fer.models.freezing import freeze_but
from fer.models.network import FaceNetwork
from fer.train.distributed.global_batch import of_all
from fer.train.module import Classifier
from tests.helpers.networks import batch_of, settings

PROCESSES = 2
# (images, the first share's end): even, uneven, and one of the processes with no image of its own.
SPLITS = [(6, 3), (5, 2), (2, 0)]


class DropPath(nn.Module):
    """Stochastic depth as timm draws it."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        kept = values.new_empty(len(values), *[1] * (values.ndim - 1)).bernoulli_(0.7)
        return values * kept / 0.7


def module(frozen: bool) -> Classifier:
    """A network with batch norms of timm's and PyTorch's kind, two dropouts and stochastic depth, in float64."""
    torch.manual_seed(3)
    network = FaceNetwork("mobilenetv2_035", 7, 32, 0.3)
    body: Any = network.body
    body.blocks[1].append(
        nn.Sequential(nn.Dropout(0.2), nn.BatchNorm2d(body.blocks[1][-1].bn3.num_features), DropPath())
    )
    made = Classifier(network, settings(label_smoothing=0.1)).double().train()
    if frozen:
        names = {name for name, _ in network.body.named_parameters()}
        freeze_but(network.body, {name for name in names if not name.startswith(("conv_stem", "bn1", "blocks.0"))})
    return made


def share(batch: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    held = slice(start, max(stop, start + 1))
    weights = batch["weights"][held] * float(stop > start)
    return {
        **{"images": batch["images"][held], "targets": batch["targets"][held], "weights": weights},
        **{"share": (start, stop, len(batch["targets"])), "whole_weight": batch["weights"].sum()},
    }


def outcome(count: int, frozen: bool, rank: int | None, stop: int) -> dict[str, Any]:
    """Two steps of a module: loss, gradients and state afterwards, in one process or as one of two."""
    made = module(frozen)
    batch = batch_of(count)
    batch["images"] = batch["images"].permute(0, 3, 1, 2).double() / 255
    batch["weights"] = torch.linspace(0.5, 2, count, dtype=torch.float64)
    batch["targets"] = batch["targets"].double()
    if rank is not None:
        batch = share(batch, *((0, stop) if rank == 0 else (stop, count)))
    torch.manual_seed(11)
    for _ in range(2):
        made.training_step(batch, 0).backward()
    gradients = {name: value.grad for name, value in made.network.named_parameters() if value.grad is not None}
    if rank is not None:
        for gradient in gradients.values():
            dist.all_reduce(gradient)
            gradient /= PROCESSES
        dist.all_reduce(made.train_sums)
    return {
        "sums": made.train_sums,
        "state": made.network.state_dict(),
        "gradients": gradients,
        "drawn": torch.rand(3),
    }


def take_part(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    found = {
        (count, stop, frozen): outcome(count, frozen, rank, stop) for count, stop in SPLITS for frozen in (False, True)
    }
    shares = [(0, 3, 5), (0, 0, 1)] if rank == 0 else [(3, 5, 5), (0, 1, 1)]
    rows = [torch.arange(5.0)[start:stop] if stop else torch.tensor([9.0]) for start, stop, _ in shares]
    torch.save({"outcomes": found, "rows": of_all(rows, shares)}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes came out with."""
    folder = tmp_path_factory.mktemp("shared")
    spawning.spawn(take_part, (str(folder),), PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("count", "stop"), SPLITS)
def test_two_processes_are_one(shared: list[dict[str, Any]], count: int, stop: int, frozen: bool) -> None:
    single = outcome(count, frozen, None, 0)
    assert single["gradients"]
    for process in shared:
        torch.testing.assert_close(process["outcomes"][count, stop, frozen], single, rtol=1e-5, atol=1e-7)


def test_rows_of_all_processes_come_in_the_order_of_one(shared: list[dict[str, Any]]) -> None:
    for process in shared:
        assert process["rows"].tolist() == [0, 1, 2, 3, 4, 0]
