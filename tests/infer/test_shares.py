"""Which videos a job has where several share them out, and what cannot be shared out."""

import re
from pathlib import Path

import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.errors import ConfigError
from fer.infer.shares import JobCheck, expand_shares, list_numbers


@pytest.mark.parametrize(("count", "shares"), [(7, 3), (200, 8), (2, 5), (0, 2)])
def test_every_video_is_in_one_share_and_shares_are_about_equal(count: int, shares: int) -> None:
    parts = [
        list(
            list_numbers(load_overrides([f"extraction.shares={shares}", f"extraction.share={share}"]).extraction, count)
        )
        for share in range(shares)
    ]
    assert sorted(number for part in parts for number in part) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert list(list_numbers(load_overrides([]).extraction, count)) == list(range(count))


@pytest.mark.parametrize(
    ("typed", "added"),
    [
        (["-m", "extraction.shares=3"], ["extraction.share=0,1,2"]),
        (["--multirun", "extraction.shares=1"], ["extraction.share=0"]),
        (["extraction.shares=3"], []),
        (["-m", "seed=0,1"], []),
        (["-m", "extraction.shares=3", "extraction.share=range(3)"], []),
        (["-m", "extraction.shares=many"], []),
        (["-m", "extraction.shares=1000000000"], []),
    ],
)
def test_a_sweep_of_shares_does_each_of_them(typed: list[str], added: list[str]) -> None:
    assert expand_shares(typed) == [*typed, *added]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["extraction.shares=4"], "shares=4: of which this would do none; add -m"),
        (["extraction.shares=4", "extraction.share=4"], "share=4: shares are counted from 0, and there are 4"),
        (["extraction.share=1"], "share=1: shares are counted from 0, and there are 1"),
        (["extraction.shares=1001", "extraction.share=0"], "extraction.shares=1001"),
        (
            ["extraction.shares=2", "extraction.share=0", "extraction.stages=[predict]"],
            "what is extracted already is not shared out",
        ),
    ],
)
def test_a_share_that_is_none_is_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_overrides(overrides, "infer")


def test_jobs_that_could_not_be_joined_are_refused_before_the_first(tmp_path: Path) -> None:
    def load(*overrides: str) -> Config:
        return load_overrides(["extraction.shares=2", "extraction.share=0", *overrides], "infer")

    check = JobCheck()
    check(load())
    check(load_overrides(["extraction.shares=2", "extraction.share=1"], "infer"))
    with pytest.raises(ConfigError, match="extraction.share=0: would be done twice"):
        check(load("seed=1"))
    with pytest.raises(ConfigError, match="dry_run: is for a single run"):
        JobCheck()(load("dry_run=true"))
    with pytest.raises(ConfigError, match="resume: is for a single run"):
        JobCheck()(load(f"resume={tmp_path}"))
