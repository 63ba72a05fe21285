"""Shares that have understood different things are not joined."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.infer.chunk_store import ChunkStore
from fer.infer.inputs import load_media, save_media
from fer.infer.jobs import join_shares
from fer.infer.share_checks import check_shares, check_videos
from fer.infer.study_inputs import write_study
from fer.runs.run_directory import Run
from fer.study.reading import read_study
from fer.sweep.records import Sweep, SweepJob, write_job, write_sweep
from fer.video.media import Media

pytestmark = pytest.mark.slow

NAMES = ("anna.mp4", "berta.mp4", "clara.mp4")


def write_share(sweep: Path, share: int, *overrides: str) -> Path:
    """A job that has done its videos."""
    given = [f"extraction.share={share}", "extraction.shares=2", "extraction.detector.kind=haar", *overrides]
    job = sweep / str(share)
    run = Run(job, load_overrides(given, "infer"), "infer.py")
    run.update_provenance(detector={"kind": "haar"}, model={"uri": "m", "package_sha256": "1"})
    (job / "parts").mkdir()
    list_videos(job, NAMES)
    for number in range(share, len(NAMES), 2):
        store = ChunkStore.for_video(job, number)
        store.write_chunk(0, pd.DataFrame({"video": [NAMES[number]], "frame": [0]}))
        store.mark_complete({"video": NAMES[number], "problem": ""})
    write_respondents(job, "p1")
    write_job(job, SweepJob(share, [], "finished", "", None, "", 1.0))
    run.finish("finished")
    return job


def list_videos(job: Path, names: tuple[str, ...]) -> None:
    # What is drawn or fetched lies in the job.
    save_media([Media((job if name == "clara.mp4" else Path("/v")) / name, name, "video") for name in names], job)


def write_respondents(job: Path, name: str) -> None:
    source = job.parent / "study.yaml"
    source.write_text(
        f"stimuli: {{ad: {{}}}}\nrespondents: {{{name}: {{consent: yes}}}}\n"
        f"recordings: [{{file: anna.mp4, respondent: {name}, stimulus: ad}}]\n"
    )
    write_study(job, read_study(source))


def change_model(job: Path) -> None:
    provenance = json.loads((job / "provenance.json").read_text())
    provenance["model"]["package_sha256"] = "2"
    (job / "provenance.json").write_text(json.dumps(provenance))


def rename_rows(job: Path) -> None:
    ChunkStore.for_video(job, 1).write_chunk(0, pd.DataFrame({"video": ["dora.mp4"], "frame": [0]}))


@pytest.fixture
def jobs(tmp_path: Path) -> list[Path]:
    write_sweep(tmp_path, Sweep([], str(tmp_path), "", "maximize", 2, 1, 1))
    return [write_share(tmp_path, share) for share in (0, 1)]


def test_shares_of_one_list_can_be_joined(jobs: list[Path]) -> None:
    check_shares(jobs)
    # A share without a face has asked no model.
    provenance = json.loads((jobs[1] / "provenance.json").read_text())
    del provenance["model"]
    (jobs[1] / "provenance.json").write_text(json.dumps(provenance))
    check_shares(jobs)
    media = load_media(jobs[0])
    check_videos(jobs[1], media)
    # What was moved by an earlier join.
    (jobs[1] / "parts" / "00001").rename(jobs[1] / "moved")
    check_videos(jobs[1], media)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: list_videos(job, (NAMES[1], NAMES[0], NAMES[2])), "berta.mp4 stands for anna.mp4"),
        (lambda job: list_videos(job, NAMES[:2]), "looked at other videos (2 for 3, parts/media.json)"),
        (lambda job: write_respondents(job, "p2"), "goes by another study (study.yaml)"),
        (lambda job: (job / "study.yaml").unlink(), "goes by another study (study.yaml)"),
        (change_model, "had another model (provenance.json)"),
        (rename_rows, "holds dora.mp4, where the list of all videos has berta.mp4"),
    ],
)
def test_shares_that_saw_different_things_are_refused_and_nothing_is_moved(
    jobs: list[Path], change: Callable[[Path], None], message: str
) -> None:
    change(jobs[1])
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        join_shares(jobs[0].parent)
    assert "start the sweep anew" in str(refused.value)
    assert (jobs[0] / "parts" / "00000").is_dir() and not (jobs[0].parent / "run" / "parts" / "00000").exists()


@pytest.mark.parametrize("override", ["extraction.fps=2", "inference.precision=16", "extraction.quality.min_size=40"])
def test_shares_of_different_configurations_are_refused(tmp_path: Path, override: str) -> None:
    jobs = [write_share(tmp_path, 0), write_share(tmp_path, 1, override)]
    key = ".".join(override.partition("=")[0].split(".")[:2])
    with pytest.raises(UserError, match=re.escape(f"has another {key} than")):
        check_shares(jobs)
