"""Heads over time: frames that are not there change nothing, and the order of the others counts where it should."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from fer.models.clip_format import HEAD_KINDS, HeadKind
from fer.models.temporal_heads import TemporalHead, build_head

N, T, D = 4, 6, 10


def make(kind: HeadKind) -> TemporalHead:
    torch.manual_seed(0)
    return build_head(kind, D, hidden=16, layers=2, drop_rate=0.3).eval()


@pytest.fixture
def features() -> Tensor:
    return torch.randn(N, T, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_frames_that_are_not_there_change_no_bit(kind: HeadKind, features: Tensor) -> None:
    head = make(kind)
    mask = torch.rand(N, T, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[:, 1] = True
    garbage = features.clone()
    garbage[~mask] = torch.tensor([float("nan"), 1e30]).repeat(D // 2)
    frames, whole = head(features, mask)
    other_frames, other_whole = head(garbage, mask)
    assert torch.equal(whole, other_whole)
    assert torch.equal(frames[mask], other_frames[mask])
    assert frames.shape == (N, T, head.width) and whole.shape == (N, head.width)


@pytest.mark.parametrize("kind", ["mean", "gru", "lstm"])
def test_where_the_hole_is_does_not_matter_to_heads_without_positions(kind: HeadKind, features: Tensor) -> None:
    """A clip of three frames is the same at the beginning, at the end, and with a hole."""
    head, frames = make(kind), features[:, :3]
    answers = []
    for places in ([0, 1, 2], [3, 4, 5], [0, 2, 5]):
        window, mask = torch.full((N, T, D), 7.0), torch.zeros(N, T, dtype=torch.bool)
        window[:, places], mask[:, places] = frames, True
        answers.append(head(window, mask)[1])
    torch.testing.assert_close(answers[1], answers[0])
    torch.testing.assert_close(answers[2], answers[0])


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_the_order_of_frames_counts_but_for_their_mean(kind: HeadKind, features: Tensor) -> None:
    head, mask = make(kind), torch.ones(N, T, dtype=torch.bool)
    same = torch.allclose(head(features, mask)[1], head(features.flip(1), mask)[1], atol=1e-5)
    assert same == (kind == "mean")


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_a_window_without_a_frame_gives_numbers(kind: HeadKind, features: Tensor) -> None:
    assert make(kind)(features, torch.zeros(N, T, dtype=torch.bool))[1].isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in HEAD_KINDS if kind != "mean"])
def test_every_weight_learns(kind: HeadKind, features: Tensor) -> None:
    head = make(kind)
    frames, whole = head(features, torch.ones(N, T, dtype=torch.bool))
    (frames.square().sum() + whole.square().sum()).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in head.parameters())


def test_the_kinds_are_all_listed() -> None:
    assert get_args(HeadKind) == HEAD_KINDS


def test_frames_that_are_not_there_are_in_no_statistics(features: Tensor) -> None:
    mask = torch.rand(N, T, generator=torch.Generator().manual_seed(3)) < 0.5
    mask[:, 0] = True
    garbage = features.clone()
    garbage[~mask] = 1e6
    one, other = make("tcn").train(), make("tcn").train()
    torch.manual_seed(5)
    frames, _ = one(features, mask)
    torch.manual_seed(5)
    other_frames, _ = other(garbage, mask)
    assert torch.equal(frames[mask], other_frames[mask])
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
