"""Runs below the dashboard's directory, and nothing outside of it."""

from pathlib import Path

import pytest

from fer.app.embedding import build_frame, embed_media, read_page
from fer.app.models import list_models
from fer.app.runs import RunEntry, find_run, is_comparable, list_files, list_runs, list_sweeps, read_metrics
from fer.errors import UserError
from tests.helpers.dashboards import interval, write_run

BUNDLE = "bundle/bundle.yaml"


@pytest.fixture
def listed(outputs: Path) -> list[RunEntry]:
    write_run(outputs / "train" / "2026-01-30" / "a", accuracy=interval(0.75), samples=40)
    clip = write_run(outputs / "infer" / "2026-01-31" / "b", program="-m", status="running")
    (clip / "study.html").touch()
    for number in (0, 1):
        job = write_run(outputs / "sweeps" / "first" / str(number), macro_f1=interval(0.5))
        (job / "bundle").mkdir()
        (job / BUNDLE).touch()
    (outputs / "sweeps" / "first" / "sweep.yaml").touch()
    # No runs of their own.
    write_run(outputs / "registry" / "artifacts" / "x")
    write_run(outputs / "cache" / "y")
    write_run(outputs / "train" / "2026-01-30" / "a" / "inner")
    return list_runs(outputs)


def test_runs_are_listed_the_latest_first(listed: list[RunEntry]) -> None:
    assert [entry.key for entry in listed] == [
        "train/2026-01-30/a",
        "sweeps/first/1",
        "sweeps/first/0",
        "infer/2026-01-31/b",
    ]
    first = listed[0]
    assert (first.program, first.status, first.start) == ("train", "finished", "2026-01-31 12:00:00")
    assert first.figures == {"accuracy": 0.75}
    assert (first.has_report, first.has_study, first.has_bundle) == (True, False, False)
    assert listed[3].has_study and listed[3].status == "running"
    assert [is_comparable(entry) for entry in listed] == [True, True, True, False]


def test_sweeps_are_what_can_be_compared_whole(outputs: Path, listed: list[RunEntry]) -> None:
    assert list_sweeps(outputs, listed) == {"sweeps/first": outputs / "sweeps" / "first"}


def test_figures_have_intervals_where_there_are_any(outputs: Path, listed: list[RunEntry]) -> None:
    figures = read_metrics(listed[0].directory)
    assert figures == {"accuracy": (0.75, pytest.approx(0.7), pytest.approx(0.8)), "samples": (40.0, None, None)}


@pytest.mark.parametrize("damage", ["{", "[]", '{"test": {"accuracy": {"value": "x"}}}', '{"test": 3}'])
def test_a_damaged_run_is_listed_as_far_as_it_can_be_read(outputs: Path, damage: str) -> None:
    run = write_run(outputs / "train" / "a")
    for name in ("metrics.json", "provenance.json"):
        (run / name).write_text(damage)
    (entry,) = list_runs(outputs)
    assert (entry.key, entry.status, entry.program, entry.figures) == ("train/a", "not begun", "", {})


def test_a_directory_without_runs_or_none_at_all_lists_nothing(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == list_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize("key", ["../secret", "/etc", "train/2026-01-30/a/inner", "", "train/2026-01-30/A", "."])
def test_an_address_names_runs_of_the_list_alone(outputs: Path, listed: list[RunEntry], key: str) -> None:
    write_run(outputs.parent / "secret")
    assert find_run(listed, "train/2026-01-30/a") is listed[0]
    with pytest.raises(UserError, match="There is no such run here"):
        find_run(listed, key)


def test_links_lead_nowhere(outputs: Path, tmp_path: Path) -> None:
    """Whoever can write into a run must not be able to show what others may read."""
    secret = write_run(tmp_path / "secret")
    (secret / "table.csv").touch()
    run = write_run(outputs / "train" / "a")
    (outputs / "train" / "linked").symlink_to(secret)
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(secret / "report.html")
    (run / "table.csv").symlink_to(secret / "table.csv")
    (run / "history.csv").touch()
    assert [entry.key for entry in list_runs(outputs)] == ["train/a"]
    assert list(list_files(outputs, run)) == ["history.csv"]
    with pytest.raises(UserError, match="outside of the dashboard's directory"):
        read_page(run / "report.html", outputs)


def test_tables_and_pages_can_be_taken_and_no_configuration(outputs: Path) -> None:
    run = write_run(outputs / "infer" / "a")
    (run / "study").mkdir()
    for name in ("predictions.csv", "predictions.parquet", "study/curves.csv", ".hidden.csv", "infer.log"):
        (run / name).touch()
    assert list(list_files(outputs, run)) == [
        "predictions.csv",
        "predictions.parquet",
        "report.html",
        "study/curves.csv",
    ]


def test_a_page_that_is_gone_or_too_large_is_a_sentence(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(outputs / "train" / "a")
    monkeypatch.setattr("fer.app.embedding.MAX_PAGE_BYTES", 10)
    with pytest.raises(UserError, match="download it"):
        read_page(run / "report.html", outputs)
    (run / "report.html").unlink()
    with pytest.raises(UserError, match="There is no such page any more"):
        read_page(run / "report.html", outputs)


def test_no_page_can_end_the_script_that_holds_it() -> None:
    frame = build_frame("</script><script>alert(1)</script>{x}\u2028")
    assert frame.count("</script>") == 1
    assert "allow-same-origin" not in frame and "default-src 'none'" in frame
    # The doctype stays the first thing in the page.
    assert r'Blob(["<!DOCTYPE html>\u003cscript>' in build_frame("<!DOCTYPE html><p>").replace(r"\u003c!", "<!")


def test_models_are_the_shipped_one_and_those_of_runs(listed: list[RunEntry]) -> None:
    assert [(choice.label, choice.uri) for choice in list_models(listed, [])][-2:] == [
        ("Run: sweeps/first/1", str(listed[1].directory)),
        ("Run: sweeps/first/0", str(listed[2].directory)),
    ]
    assert list_models([], [])[0].uri == "pretrained"


def test_clips_play_within_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("upload-1.mp4", b"abc"), ("upload-2.mp4", b"long" * 9), ("upload-3", b"?")):
        (tmp_path / name).write_bytes(content)
    media = {f"../{path.name}": path for path in sorted(tmp_path.iterdir())}
    page = "".join(f'<video src="{address}">' for address in media)
    monkeypatch.setattr("fer.app.embedding.MAX_MEDIA_BYTES", 30)
    assert embed_media(page, media) == (
        '<video src="data:video/mp4;base64,YWJj"><video src="../upload-2.mp4"><video src="../upload-3">'
    )
