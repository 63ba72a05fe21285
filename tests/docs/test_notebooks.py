"""The example notebooks run from the first cell to the last, and leave what they speak of."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.paths import PROJECT

EXAMPLES = PROJECT / "examples"
# Both train the same; the second one only where there is no run yet.
SHORTER = {
    "model.name=resnet10t": "model.name=test_efficientnet",
    "count=1600": "count=700",
    "max_epochs=6": "max_epochs=4",
}
SHORTER_CLIP = {'write_clip(Path("outputs/clips"))': 'write_clip(Path("outputs/clips"), 8)'}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the notebooks, which run beside it, leave their runs."""
    directory = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT))
        patch.setenv("OMP_WAIT_POLICY", "passive")
        yield directory / "outputs"


def execute(name: str, place: Path, shorter: Mapping[str, str] = SHORTER) -> None:
    """Run a notebook as if it stood in a directory, with less to do. An error in a cell is raised with it."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    for long, short in shorter.items():
        assert long in str(notebook.cells)
        for cell in notebook.cells:
            cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(place)}}).execute()


@pytest.fixture(scope="module")
def trained(outputs: Path) -> Path:
    """The run of the first notebook."""
    execute("train_and_predict.ipynb", outputs.parent)
    (run,) = outputs.glob("train/*/*")
    return run


@pytest.mark.slow
def test_training_and_predicting(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    # Better than chance, beyond doubt.
    assert metrics["test"]["accuracy"]["low"] > 1 / 7
    assert (trained / "report.html").is_file()


@pytest.mark.slow
def test_analysing_a_video_with_the_trained_model(trained: Path, outputs: Path) -> None:
    execute("video_analysis.ipynb", outputs.parent, SHORTER | SHORTER_CLIP)
    assert list(outputs.glob("train/*/*")) == [trained]
    (run,) = outputs.glob("infer/*/*")
    assert {"predictions.parquet", "videos.parquet", "report.html"} <= {file.name for file in run.iterdir()}
    judged_by = json.loads((run / "provenance.json").read_text(encoding="utf-8"))["model"]["uri"]
    assert (outputs.parent / judged_by).resolve() == trained.resolve()


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_output_is_kept(notebook: Path) -> None:
    """It would hold places of a machine, and make every change of a cell a change of pictures."""
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
