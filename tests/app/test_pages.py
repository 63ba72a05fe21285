"""The pages, as Streamlit runs them, without a browser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from fer.app.analysis import Analysis, Choices
from fer.app.comparison import Comparison
from fer.app.dashboard import Dashboard
from fer.app.entry import start
from fer.app.jobs import Job, JobQueue, JobState
from fer.app.settings import Settings
from fer.app.uploads import Upload
from fer.registry.base import ModelVersion
from tests.helpers.dashboards import interval, write_run
from tests.helpers.server import wait_until

pytestmark = pytest.mark.slow

VISIT = "test session id"
PAGE = "<h1>A report</h1>"


def show(page: str, **parameters: str) -> AppTest:
    """A page of this name, looked at for the first time."""

    def run(page: str) -> None:
        import importlib

        module = importlib.import_module(f"fer.app.pages.{page}")
        name = {"analyse": "analysis", "compare": "comparison"}.get(page, page)
        getattr(module, f"show_{name}")()

    app = AppTest.from_function(run, kwargs={"page": page}, default_timeout=60)
    for name, value in parameters.items():
        app.query_params[name] = value
    return app.run()


def messages(elements: Any) -> list[str]:
    return [element.value for element in elements]


def frames(app: AppTest) -> list[str]:
    return [element.proto.srcdoc for element in app.get("iframe")]


class StandIn:
    """Starts a shell in infer.py's place, which makes a report when a file tells it to."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder, self.script, self.started = folder, script, list[Choices]()

    def __call__(
        self, settings: Settings, queue: JobQueue, run: Path, uploads: Sequence[Upload], choices: Choices
    ) -> Analysis:
        self.started.append(choices)
        job = Job(["/bin/sh", "-c", self.script.format(run=run, go=self.folder / "go", upload=uploads[0].path.name)])
        return Analysis(queue.submit(job), run)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    script = (
        "echo 'Frames: 3/12 frames, 4/s, 2 s left'; while [ ! -e {go} ]; do sleep 0.02; done; mkdir {run}; "
        "echo '<h1>A report</h1>' > {run}/report.html; echo a > {run}/predictions.csv; "
        "echo 'Excluded: {upload}: its end is damaged'; exit 3"
    )
    double = StandIn(tmp_path, script)
    monkeypatch.setattr("fer.app.pages.analyse.start_analysis", double)
    return double


def analysis_of(dashboard: Dashboard) -> Analysis:
    analysis = dashboard.workspaces.open(VISIT).analysis
    assert analysis is not None
    return analysis


def test_a_clip_is_uploaded_analysed_and_its_report_shown(dashboard: Dashboard, stand_in: StandIn) -> None:
    app = show("analyse")
    assert app.button[0].label == "Analyse" and app.button[0].disabled
    app.file_uploader[0].upload("my *holiday*.mp4", b"\0clip", "video/mp4").run()
    workspace = dashboard.workspaces.open(VISIT)
    assert [path.name for path in workspace.directory.iterdir()] == ["upload-1.mp4"]
    assert app.dataframe[0].value["file"].tolist() == ["my *holiday*.mp4"]
    app.selectbox[1].select("5 a second")
    app.selectbox[2].select("Haar: frontal faces")
    analyse = next(button for button in app.button if button.label == "Analyse")
    analyse.click().run()
    assert stand_in.started == [Choices("pretrained", "haar", 5, "largest")]
    job = analysis_of(dashboard).job
    wait_until(lambda: job.progress is not None, "progress")
    app.run()
    # While it is at work nothing else can be begun.
    assert [button.label for button in app.button if not button.disabled] == ["Cancel"]
    assert not app.file_uploader
    (progress,) = app.get("progress")
    assert progress.proto.text == "Frames: 3 of 12 frames, about 2 s left"
    (stand_in.folder / "go").touch()
    wait_until(lambda: job.is_over, "the end")
    app.run()
    assert messages(app.warning) == [r"Left out\: my \*holiday\*\.mp4\: its end is damaged"]
    assert not app.error
    (frame,) = frames(app)
    assert r"\u003ch1>A report\u003c/h1>" in frame
    assert [button.proto.label for button in app.download_button] == ["predictions.csv", "report.html"]
    next(button for button in app.button if button.label == "Delete files and result").click().run()
    assert not list(workspace.directory.iterdir()) and not frames(app)


def test_a_run_can_be_cancelled_and_begun_anew(dashboard: Dashboard, stand_in: StandIn) -> None:
    app = show("analyse")
    app.file_uploader[0].upload("a.mp4", b"\0clip", "video/mp4").run()
    next(button for button in app.button if button.label == "Analyse").click().run()
    job = analysis_of(dashboard).job
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert job.state is JobState.CANCELLED
    assert messages(app.error) == [r"Cancelled\."]
    next(button for button in app.button if button.label == "Analyse").click().run()
    assert analysis_of(dashboard).job is not job


def test_who_waits_sees_the_place(dashboard: Dashboard, stand_in: StandIn) -> None:
    others = [dashboard.queue.submit(Job(["/bin/sleep", "600"])) for _ in range(3)]
    wait_until(lambda: others[1].state is JobState.RUNNING, "two at work")
    app = show("analyse")
    app.file_uploader[0].upload("a.mp4", b"\0clip", "video/mp4").run()
    next(button for button in app.button if button.label == "Analyse").click().run()
    (progress,) = app.get("progress")
    assert progress.proto.text == "Waiting: place 2 in the queue"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.txt", b"text", r"notes\.txt\: is no video and no picture; choose a file such as MP4"),
        ("![x](http://a.example/b).mp4", b"", r"b\)\.mp4\: is empty; choose another file"),
        ("long.mp4", bytes((1 << 20) + 1), r"long\.mp4\: all files together may have 1 MB here"),
    ],
)
def test_an_upload_of_no_use_is_one_sentence(dashboard: Dashboard, name: str, content: bytes, sentence: str) -> None:
    app = show("analyse")
    app.file_uploader[0].upload(name, content).run()
    (message,) = messages(app.error)
    assert message.startswith(sentence)
    assert not list(dashboard.workspaces.open(VISIT).directory.iterdir())
    # The sentence is told once, and the next file is asked for.
    app.run()
    assert not app.error and len(app.file_uploader) == 1


def test_a_picture_of_the_camera_is_taken(dashboard: Dashboard) -> None:
    app = show("analyse")
    app.segmented_control[0].select("Camera").run()
    assert "only over HTTPS" in " ".join(messages(app.caption))
    app.camera_input[0].set_value(("photo.jpg", b"\xff\xd8\xff\xe0picture", "image/jpeg")).run()
    assert [upload.path.name for upload in dashboard.workspaces.open(VISIT).uploads] == ["upload-1.jpg"]


def test_runs_are_shown_with_figures_report_and_tables(dashboard: Dashboard, outputs: Path) -> None:
    write_run(outputs / "train" / "b", accuracy=interval(0.75), macro_f1=interval(0.7))
    write_run(outputs / "infer" / "a", program="infer.py", status="failed")
    app = show("runs")
    assert app.selectbox[0].value.key == "train/b"
    assert [(metric.label, metric.value) for metric in app.metric] == [("Accuracy", "75.0%"), ("Macro-F1", "70.0%")]
    assert len(frames(app)) == 1
    assert app.dataframe[0].value["status"].tolist() == ["finished", "failed"]
    assert app.dataframe[0].value["accuracy"].fillna(-1).tolist() == [75, -1]
    app = show("runs", run="infer/a")
    assert app.selectbox[0].value.key == "infer/a" and not app.metric


def test_a_run_at_work_has_no_report_yet(dashboard: Dashboard, outputs: Path) -> None:
    for name, status in (("a", "running"), ("b", "finished")):
        (write_run(outputs / "export" / name, "-m fer.export", status=status) / "report.html").unlink()
    assert messages(show("runs", run="export/a").info) == ["This run has no report yet."]
    app = show("runs", run="export/b")
    assert messages(app.info) == ["This run has no report."]
    assert app.dataframe[0].value["program"].tolist() == ["export", "export"]
    assert messages(app.caption)[0].startswith("Export, finished")


def test_who_uploads_much_reads_that_it_does_not_play(
    dashboard: Dashboard, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.script = "mkdir {run}; echo '<video src=\"../{upload}\">' > {run}/report.html"
    monkeypatch.setattr("fer.app.embedding.MAX_MEDIA_BYTES", 3)
    app = show("analyse")
    app.file_uploader[0].set_value(("clip.mp4", b"\0\0\0\x18ftypmp42 clip", "video/mp4")).run()
    (button,) = [button for button in app.button if button.label == "Analyse"]
    button.click().run()
    wait_until(lambda: analysis_of(dashboard).job.is_over, "the analysis")
    app.run()
    assert [text for text in messages(app.caption) if "do not play in the report; its curves work without them" in text]


@pytest.mark.parametrize("wanted", ["../secret", "/etc/passwd", "train/c"])
def test_an_address_opens_nothing_outside(dashboard: Dashboard, outputs: Path, wanted: str) -> None:
    write_run(outputs / "train" / "b")
    write_run(outputs.parent / "secret")
    app = show("runs", run=wanted)
    assert messages(app.error) == [r"There is no such run here; choose one of the list\."]
    assert not frames(app) and not app.download_button


def test_chosen_runs_are_compared(
    dashboard: Dashboard, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_run(outputs / "train" / name, accuracy=interval(0.75))

    def start_comparison(queue: JobQueue, places: Any, directory: Path, keys: Any) -> Comparison:
        assert places == [outputs / "train" / "a", outputs / "train" / "c"]
        script = f"mkdir {directory}; echo '{PAGE}' > {directory}/comparison.html"
        return Comparison(queue.submit(Job(["/bin/sh", "-c", script])), directory, tuple(keys))

    monkeypatch.setattr("fer.app.pages.compare.start_comparison", start_comparison)
    app = show("compare")
    assert app.button[0].disabled
    app.multiselect[0].set_value(["train/a", "train/c"]).run()
    app.button[0].click().run()
    comparison = dashboard.workspaces.open(VISIT).comparison
    assert comparison is not None
    wait_until(lambda: comparison.job.is_over, "the comparison")
    app.run()
    assert len(frames(app)) == 1 and not app.error


def test_studies_are_shown_with_their_tables(dashboard: Dashboard, outputs: Path) -> None:
    run = write_run(outputs / "infer" / "a", program="infer.py")
    write_run(outputs / "infer" / "b", program="infer.py")
    (run / "study").mkdir()
    (run / "study.html").write_text(PAGE)
    (run / "study" / "curves.csv").touch()
    app = show("studies")
    assert [entry.key for entry in [app.selectbox[0].value]] == ["infer/a"]
    assert len(app.selectbox[0].options) == 1
    assert len(frames(app)) == 1
    assert "study/curves.csv" in [button.proto.label for button in app.download_button]


def version(store: Path, number: int, *aliases: str, card: str) -> ModelVersion:
    folder = store / "artifacts" / str(number)
    folder.mkdir(parents=True)
    (folder / "model_card.md").write_text(card)
    package, created = str(folder / "model.tar.gz"), "2026-01-31"
    return ModelVersion(
        "fer", number, "Approved", aliases, "", "", "", package, created, {"accuracy": 0.75}, {}, "It is *better*."
    )


def test_the_registry_shows_versions_and_cards(
    dashboard: Dashboard, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = outputs / "registry"
    versions = [
        version(store, 2, "champion", card="# Second\n![beacon](http://a.example/x.png)"),
        version(store, 1, card="# First"),
    ]
    monkeypatch.setattr("fer.app.pages.parts.list_registered", lambda _: versions)
    app = show("registry")
    assert app.dataframe[0].value["in use as"].tolist() == ["champion", ""]
    assert messages(app.caption) == [r"It is \*better\*\."]
    assert "![" not in app.markdown[0].value and "# Second" in app.markdown[0].value
    app.selectbox[0].select_index(1).run()
    assert app.markdown[0].value == "# First"
    app = show("analyse")
    assert app.selectbox[0].options[1:] == ["Registry: fer, version 2 (champion)", "Registry: fer, version 1"]


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("runs", "There is no run yet"),
        ("compare", "There is no finished training yet"),
        ("studies", "There is no study yet"),
        ("registry", "No model is registered yet"),
    ],
)
def test_an_empty_dashboard_says_what_to_do(dashboard: Dashboard, page: str, sentence: str) -> None:
    app = show(page)
    assert sentence in messages(app.info)[0] and not app.error and not app.exception


def test_the_script_shows_the_first_page(dashboard: Dashboard) -> None:
    app = AppTest.from_file(str(start.__file__), default_timeout=60).run()
    assert messages(app.title) == ["Analyse clips and pictures"] and not app.exception
