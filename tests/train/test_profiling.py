"""What a profile measures, what its page says, and that it changes nothing."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch

from fer.config.compose import load_overrides
from fer.core.io import write_text
from fer.reports.profile import PHASES
from fer.runs.provenance import collect_environment
from fer.train.operator_trace import OperatorSummary
from fer.train.pipeline import train
from fer.train.profile_hints import MAX_HINTS, ProfileFigures, find_hints
from fer.train.profile_report import write_profile
from fer.train.profiling import EPOCH, TrainingProfiler, choose_traced_steps
from tests.helpers.html import Page
from tests.helpers.programs import FAST, metrics_of, provenance_of

STEP = ("[Strategy]One.training_step", "[Strategy]One.backward")
FETCH, MOVE = "[_TrainingEpochLoop].train_dataloader_next", "[Strategy]One.batch_to_device"
UPDATE, AVERAGE = "[LightningModule]Face.optimizer_step", "[LightningModule]Face.on_train_batch_end"


class FakeTrace:
    """Stands for PyTorch's profiler, which takes seconds to start."""

    active = recorded = False

    def start(self) -> None:
        self.active = True

    def stop(self) -> None:
        self.active, self.recorded = False, True

    def summarize(self) -> OperatorSummary:
        return OperatorSummary([], 0.5, None)

    def write(self, path: Path) -> None:
        write_text(path, "{}")


class Clock:
    """Time that passes only where a test lets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fer.train.profiling.time.perf_counter", clock)
    return clock


def build_profiler(batches: int, interrupted: bool = False) -> TrainingProfiler:
    loader = SimpleNamespace(batch_size=16, split=SimpleNamespace(rows=range(100)))
    trainer = SimpleNamespace(
        num_training_batches=batches, current_epoch=2, train_dataloader=loader, interrupted=interrupted
    )
    profiler = TrainingProfiler(cast(Any, trainer), "cpu")
    profiler.trace = cast(Any, FakeTrace())
    return profiler


def run_step(profiler: TrainingProfiler, clock: Clock) -> None:
    """A step in which each phase takes longer than the one before it: 1, 2, 4, 8, 16 and 32 seconds."""
    for action, seconds in ((FETCH, 1), (MOVE, 2)):
        with profiler.profile(action):
            clock.now += seconds
    with profiler.profile("run_training_batch"), profiler.profile(UPDATE):
        for action, seconds in zip(STEP, (4, 8), strict=True):
            with profiler.profile(action):
                clock.now += seconds
        clock.now += 16
    with profiler.profile(AVERAGE):
        clock.now += 32


def validate(profiler: TrainingProfiler, clock: Clock) -> None:
    """A validation of 7 seconds, its own batches among them."""
    with profiler.profile("[LightningModule]Face.on_validation_model_eval"):
        pass
    for action in ("[_EvaluationLoop].val_next", MOVE, "[Strategy]One.validation_step"):
        with profiler.profile(action):
            clock.now += 2
    with profiler.profile("[Strategy]One.on_validation_end"):
        clock.now += 1


def test_each_moment_belongs_to_one_phase(clock: Clock) -> None:
    profiler = build_profiler(batches=2)
    clock.now += 64
    with profiler.profile(EPOCH):
        for _ in range(2):
            run_step(profiler, clock)
        validate(profiler, clock)
    with profiler.profile("save_checkpoint"):
        clock.now += 128
    profiler.finish()
    expected = {"loading": 2, "transfer": 4, "forward": 8, "backward": 16, "optimizer": 32, "moving_average": 64}
    expected |= {"validation": 7, "checkpoints": 128, "other": 64}
    assert {phase: profiler.seconds[phase] for phase in PHASES} == expected
    assert sum(profiler.seconds.values()) == clock.now
    assert {profiler.calls[phase] for phase in list(PHASES)[:6]} == {2}
    assert (profiler.calls["validation"], profiler.calls["checkpoints"]) == (1, 1)
    assert profiler.step_seconds == [63, 63]
    assert profiler.images == 32


def test_a_checkpoint_within_a_validation_is_no_part_of_it(clock: Clock) -> None:
    """So it is where a validation within an epoch is the best one so far."""
    profiler = build_profiler(batches=2)
    with profiler.profile(EPOCH):
        run_step(profiler, clock)
        profiler.start("[LightningModule]Face.on_validation_model_eval")
        profiler.stop("[LightningModule]Face.on_validation_model_eval")
        clock.now += 2
        actions = ("[Callback]Checkpoints.on_validation_end", "save_checkpoint", "[Strategy]One.barrier")
        with ExitStack() as stack:
            for action in actions:
                stack.enter_context(profiler.profile(action))
            clock.now += 128
        with profiler.profile("[Strategy]One.on_validation_end"):
            clock.now += 1
    profiler.finish()
    assert (profiler.seconds["validation"], profiler.seconds["checkpoints"]) == (3, 128)
    assert (profiler.calls["validation"], profiler.calls["checkpoints"]) == (1, 1)
    assert sum(profiler.seconds.values()) == clock.now


@pytest.mark.parametrize(
    ("batches", "first", "last"), [(1, 1, 1), (2, 2, 2), (3, 3, 3), (5, 3, 5), (6, 3, 6), (900, 3, 6)]
)
def test_the_traced_steps_follow_a_warm_up_where_there_is_room(batches: int, first: int, last: int) -> None:
    steps = choose_traced_steps(batches)
    assert (steps[0], steps[-1]) == (first, last)


def test_what_an_interruption_leaves_open_is_closed(clock: Clock) -> None:
    profiler = build_profiler(batches=9)
    with suppress(KeyboardInterrupt), profiler.profile(EPOCH):
        for _ in range(3):
            run_step(profiler, clock)
        profiler.start(FETCH)
        profiler.stop(FETCH)
        profiler.start(UPDATE)
        clock.now += 5
        raise KeyboardInterrupt
    clock.now += 1
    profiler.finish()
    assert sum(profiler.seconds.values()) == clock.now
    assert profiler.seconds["optimizer"] == 3 * 16 + 5
    assert profiler.phase == "other"
    assert profiler.trace.recorded
    assert not profiler.trace.active
    assert (profiler.traced[0], profiler.traced[-1]) == (3, 4)
    assert profiler.images == 3 * 16


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    provenance = {**collect_environment(), "device": "cpu"}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    return tmp_path


def test_an_interrupted_and_resumed_training_says_so(clock: Clock, run_directory: Path) -> None:
    profiler = build_profiler(batches=9, interrupted=True)
    with suppress(KeyboardInterrupt), profiler.profile(EPOCH):
        run_step(profiler, clock)
        raise KeyboardInterrupt
    (run_directory / "profile_trace.json").write_text("of the part before")
    write_profile(profiler, load_overrides([]), run_directory)
    text = Page((run_directory / "profile.html").read_text(encoding="utf-8")).text
    assert "Interrupted · epoch 3, 1 step" in text
    assert "The training was interrupted: the figures are of what it did until then" in text
    assert "The training was resumed: the figures begin with epoch 3." in text
    assert "ended before the steps whose operators were to be traced" in text
    assert not (run_directory / "profile_trace.json").exists()


def test_a_training_without_a_batch_has_a_sentence_instead(
    run_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(build_profiler(batches=9), load_overrides([]), run_directory)
    assert "The training ended before its first batch, so no profile.html was written" in caplog.text
    assert not (run_directory / "profile.html").exists()


def figures(device: str = "cpu", busy: float | None = None, threads: int = 4, **seconds: float) -> ProfileFigures:
    """Figures of a training of 100 seconds; what no phase took is other."""
    spent = {**dict.fromkeys(PHASES, 0.0), **seconds}
    spent["other"] += 100 - sum(spent.values())
    return ProfileFigures(spent, spent.get("first", 1.0), device, busy, threads, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "measured", "words"),
    [
        ([], figures(loading=21), "`dataset.cache_dir`"),
        ([], figures("cuda", loading=21), "`trainer.resident=true`"),
        ([], figures(transfer=21), "`dataset.augment`"),
        ([], figures("cuda", transfer=21), "`trainer.resident=true`"),
        ([], figures(checkpoints=16), "`hydra.run.dir`"),
        (["dataset.split=stratified"], figures(validation=41), "`dataset.fractions`"),
        (["trainer.validations=4"], figures(validation=41), "an epoch has 4 validations (`trainer.validations`)"),
        (["trainer.validations=2", "dataset.split=stratified"], figures(validation=41), "an epoch has 2 validations"),
        (["trainer.validations=4"], figures(checkpoints=16), "or validate less often (`trainer.validations=4`)"),
        ([], figures(optimizer=16, moving_average=15), "`dataset.batch_size` (32)"),
        ([], figures(forward=20, backward=31, threads=2), "They used 2 of 4 cores"),
        (["trainer.channels_last=false"], figures(forward=20, backward=31), "`trainer.channels_last=true`"),
        ([], figures(forward=20, backward=31), "`trainer.precision=bf16`"),
        (["trainer.precision=bf16"], figures(forward=20, backward=31), "`model.image_size` (96)"),
        ([], figures("cuda", 0.49), "`dataset.batch_size` (32), or use `trainer.compile=true`"),
        ([], figures("cuda", 0.81), "`trainer.precision=bf16`"),
    ],
)
def test_a_hint_follows_from_the_figures(overrides: list[str], measured: ProfileFigures, words: str) -> None:
    hints = find_hints(load_overrides(overrides), measured)
    assert 1 <= len(hints) <= MAX_HINTS
    assert words in f"{hints[0].finding} {hints[0].remedy}"
    assert hints[0].rule


@pytest.mark.parametrize(
    ("overrides", "measured"),
    [
        ([], figures(loading=20, transfer=20, checkpoints=15, optimizer=15, moving_average=15)),
        ([], figures(validation=90)),
        (["trainer.validations=4"], figures(validation=40, checkpoints=15)),
        (["trainer.resident=true"], figures("cuda", loading=40, transfer=40)),
        (["trainer.precision=bf16"], figures("cuda", 0.95, forward=60)),
        ([], figures("cuda", 0.6, forward=60)),
        ([], figures("mps", forward=60)),
        ([], figures("cuda", forward=60)),
    ],
)
def test_no_hint_where_no_setting_would_help(overrides: list[str], measured: ProfileFigures) -> None:
    assert find_hints(load_overrides(overrides), measured) == []


def test_compiling_is_blamed_where_the_first_step_took_long() -> None:
    measured = ProfileFigures({**dict.fromkeys(PHASES, 0.0), "forward": 100.0}, 26.0, "cpu", None, 4, 4)
    assert (
        "compiles the network, took 26.0" in find_hints(load_overrides(["trainer.compile=true"]), measured)[0].finding
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The same training with and without a profile."""
    folder, threads = tmp_path_factory.mktemp("profiled"), torch.get_num_threads()
    fast = [*FAST, "dataset.batch_size=16", "trainer.max_epochs=1", f"dataset.cache_dir={folder / 'cache'}"]
    train(load_overrides([*fast, "trainer.profile=true"]), folder / "profiled")
    train(load_overrides(fast), folder / "plain")
    yield folder / "profiled", folder / "plain"
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_profile_changes_no_result(runs: tuple[Path, Path]) -> None:
    profiled, plain = runs
    assert metrics_of(profiled) == metrics_of(plain)
    histories = [pd.read_csv(run / "history.csv").drop(columns=["seconds", "images_per_second"]) for run in runs]
    pd.testing.assert_frame_equal(*histories)
    profiled_keys, plain_keys = (
        torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["callbacks"].keys()
        for run in runs
    )
    assert profiled_keys == plain_keys
    assert {file.name for file in profiled.iterdir()} - {file.name for file in plain.iterdir()} == {
        "profile.html",
        "profile_trace.json",
    }


@pytest.mark.slow
def test_the_page_tells_phases_operators_and_what_to_do(runs: tuple[Path, Path]) -> None:
    html = (runs[0] / "profile.html").read_text(encoding="utf-8")
    page = Page(html)
    rows = dict(re.findall(r'<th scope="row">([^<]+)</th><td class="number">([\d.]+)</td>', html))
    seconds = {title: float(rows[title]) for title in PHASES.values()}
    whole = float(rows["Whole training"])
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.01 * len(PHASES))
    assert seconds["Forward and loss"] > 0
    assert seconds["Backward"] > 0
    # What the run says of its training, with the time that the profile took.
    profile_seconds = float(re.findall(r"The profile itself took ([\d.]+) s more", page.text)[0])
    assert whole + profile_seconds == pytest.approx(provenance_of(runs[0])["fit_seconds"], abs=0.5)
    assert "steps 3 to 6 of epoch 1, after a warm-up" in page.text
    assert "The 20 longest of" in page.text
    assert "aten::convolution_backward" in page.text
    assert ("Rule: " in page.text) != ("No rule applies" in page.text)
    assert "test_efficientnet, 48 pixels" in page.text
    assert not [name for tag, name in page.elements if tag in ("link", "script", "img", "iframe")]
    assert "default-src 'none'" in html


@pytest.mark.slow
def test_the_trace_holds_calls_and_phases(runs: tuple[Path, Path]) -> None:
    trace = json.loads((runs[0] / "profile_trace.json").read_text(encoding="utf-8"))
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    names = [event["name"] for event in events if event["cat"] == "user_annotation"]
    assert names.count("Forward and loss") == names.count("Backward") == names.count("Waiting for batches") == 4
    assert any(event["name"] == "aten::convolution_backward" for event in events)
    assert "host_name" not in trace
    assert str(runs[0]) not in json.dumps(trace)


@pytest.mark.slow
def test_the_report_links_the_page(runs: tuple[Path, Path]) -> None:
    links = [
        [found.get("href") for found in Page((run / "report.html").read_text(encoding="utf-8")).attributes("a")]
        for run in runs
    ]
    assert "profile.html" in links[0]
    assert "profile.html" not in links[1]
