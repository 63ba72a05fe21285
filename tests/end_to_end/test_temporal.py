"""A temporal model from training to a page, as a user goes: killed, resumed, replayed, registered, served, used."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import pack_shard
from fer.bundle.metadata import read_description
from fer.infer.extract import build_crop_path
from fer.infer.saved_crops import read_crop
from fer.registry.package import open_package
from fer.sweep.records import read_jobs
from tests.helpers.paths import PROJECT, SHARED
from tests.helpers.programs import INFER, PROBABILITIES, Program, metrics_of, png, start, table_of, wait_for
from tests.helpers.server import TAR, loaded, post, probabilities_of

TRAIN, REGISTER = str(PROJECT / "train.py"), str(PROJECT / "register.py")
OPTIONS = (
    *("model=temporal", "dataset=synthetic_clips_small", "model.encoder=null", "model.name=test_resnet"),
    *("model.image_size=32", "model.temporal.length=8", "model.temporal.hidden=16", "model.drop_rate=0.3"),
    "model.temporal.freeze_encoder=false",
    *("trainer=cpu", "trainer.threads=1"),
)
REAL = SHARED / "data" / "videos" / "single_face.mp4"


@pytest.fixture(scope="module")
def resumed(train: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in its second epoch, and went on."""
    workplace = tmp_path_factory.mktemp("temporal")
    run, history = workplace / "run", workplace / "run" / "history.csv"
    options = (*OPTIONS, "trainer.max_epochs=6", "trainer.early_stopping.patience=null", "dataset.batch_size=8")
    process = start(TRAIN, *options, f"hydra.run.dir={run}", cwd=workplace)
    try:
        wait_for(
            lambda: (
                history.exists()
                and len(history.read_text().splitlines()) >= 2
                and (run / "checkpoints" / "last.ckpt").exists()
            ),
            process,
        )
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (run / "metrics.json").exists()
    done = train(f"resume={run}")
    assert done.returncode == 0, done.stderr
    return run


def test_a_killed_and_resumed_run_is_what_its_replay_is(resumed: Path, program: Program) -> None:
    done = program("-m", "fer.replay", str(resumed))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the weights (SHA-256 {metrics_of(resumed)['weights_sha256']})" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Identical: all ")


def test_it_is_registered_served_and_used_on_drawn_and_real_clips(
    resumed: Path, program: Program, clip: Path, tmp_path: Path
) -> None:
    store = f"registry.store={tmp_path / 'registry'}"
    easy = ("registry.gate.min_accuracy=0", "registry.gate.min_macro_f1=0", "registry.gate.max_calibration_error=1")
    done = program(REGISTER, f"model_uri={resumed}", store, "registry.name=moving", *easy)
    assert done.returncode == 0, done.stderr
    assert "Registered models:/moving/1 (Approved; champion)" in done.stdout

    clips = [clip, REAL] if REAL.is_file() else [clip]
    run = tmp_path / "inferred"
    inputs = f"extraction.input=[{','.join(map(str, clips))}]"
    chosen = ("model_uri=models:/moving@champion", "extraction.save=crops", "trainer.threads=1", store)
    done = program(INFER, inputs, *chosen, f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    table = table_of(run)
    usable = table[table["status"] == "ok"]
    assert usable.groupby("video").size().min() > 15 and usable["video"].nunique() == len(clips)
    np.testing.assert_allclose(usable[PROBABILITIES].sum(axis=1), 1, atol=1e-5)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "8 frames, 0.125 s apart: a frame and those before it" in page and all(path.name in page for path in clips)

    # The server answers to the first frames of a person, sent as a sequence, as infer.py has: 8 frames a second.
    first = table[table["video"] == clip.name].head(16)
    assert (first["status"] == "ok").all() and first["track_id"].nunique() == 1
    crops = [read_crop(build_crop_path(run, 0, int(frame), 0)) for frame in first["frame"]]
    body = pack_shard([(f"{number:02}.png", png(crop)) for number, crop in enumerate(crops)])
    (archive,) = (tmp_path / "registry").rglob("model.tar.gz")
    with loaded(open_package(archive, tmp_path / "package")) as (_, port):
        answer = post(port, f"{TAR}; sequence=true; step_s=0.125", body)
    assert answer.status == 200, answer.content
    served = np.array([probabilities_of(line) for line in answer.lines])
    np.testing.assert_allclose(served, first[PROBABILITIES], atol=1e-5)


def test_a_sweep_goes_over_heads(train: Program, tmp_path: Path) -> None:
    few = ("trainer.max_epochs=1", "trainer.limit_batches=1")
    done = train("-m", *OPTIONS, *few, "model.temporal.head=mean,tcn", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = read_jobs(tmp_path / "sweep")
    assert [job.status for job in jobs] == ["finished"] * 2 and "Best: #" in done.stdout
    for job, head in zip(jobs, ("mean", "tcn"), strict=True):
        description = read_description(str(tmp_path / "sweep" / str(job.number)))
        assert description.temporal is not None and description.temporal.head == head
