"""From a run to the shipped model: the same bytes each time, measured, and without a trace of the machine."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from fer.bundle.half_precision import PrecisionDifference
from fer.bundle.metadata import read_description
from fer.config.compose import load_overrides
from fer.core.io import compute_sha256
from fer.errors import UserError
from fer.registry.run_artifacts import read_run_artifacts
from fer.train.pipeline import train
from tests.helpers.programs import FAST
from tools.pretrained_card import render_repetition, render_terms, render_weak_classes
from tools.ship_pretrained import anonymise_config, find_leaks, ship

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ship")
    cache = f"dataset.cache_dir={folder / 'cache'}"
    train(load_overrides([*FAST, "trainer.max_epochs=1", cache]), folder / "run")
    return folder / "run"


def test_a_run_becomes_the_shipped_model(run: Path, tmp_path: Path) -> None:
    difference = ship(run, tmp_path / "one", [])
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "old").touch()
    assert ship(run, tmp_path / "two", []) == difference
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert names == {path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*") if path.is_file()}
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    metrics = json.loads((run / "metrics.json").read_text())
    assert difference.images == metrics["val"]["samples"]
    assert difference.accuracy_full == pytest.approx(metrics["val"]["accuracy"]["value"])
    content = read_description(str(tmp_path / "one")).content
    assert content["half_precision"]["max_probability_difference"] == difference.max_probability_difference
    assert content["half_precision"]["full_weights_sha256"] == metrics["weights_sha256"]
    assert content["config_sha256"] == compute_sha256(tmp_path / "one" / "run.yaml")
    # The cache of the run lies in a directory of this machine; elsewhere it is the default.
    assert yaml.safe_load((tmp_path / "one" / "run.yaml").read_text())["dataset"]["cache_dir"] == "outputs/cache"
    assert find_leaks(tmp_path / "one") == [] and str(tmp_path.parent) not in str(content)
    assert read_run_artifacts(tmp_path / "one").metrics["val"] == metrics["val"]


def test_it_is_measured_on_drawn_faces_where_the_data_are_not_at_hand(run: Path, tmp_path: Path) -> None:
    difference = ship(run, tmp_path / "shipped", [], drawn=True)
    assert (difference.images, difference.accuracy_full) == (280, None)
    assert "On 280 drawn faces the largest difference" in (tmp_path / "shipped/bundle/model_card.md").read_text()


def test_what_must_not_be_shipped_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    provenance = json.loads((copy / "provenance.json").read_text()) | {"teachers": {"/runs/one": "b", "/runs/two": "a"}}
    (copy / "provenance.json").write_text(json.dumps(provenance | {"status": "interrupted"}))
    with pytest.raises(UserError, match="is interrupted; name a run that has finished$"):
        ship(copy, tmp_path / "shipped", [], drawn=True)
    (copy / "provenance.json").write_text(json.dumps(provenance))
    ship(copy, tmp_path / "taught", [], drawn=True)
    assert json.loads((tmp_path / "taught" / "provenance.json").read_text())["teachers"] == ["a", "b"]
    assert "models of this program (SHA-256 a, b)" in (tmp_path / "taught" / "bundle" / "model_card.md").read_text()
    card = copy / "bundle" / "model_card.md"
    card.write_text(card.read_text().replace("## Data\n", "## Data\n- of /home/somebody/faces\n"))
    with pytest.raises(UserError, match="would tell of this machine: bundle/model_card.md: /home/somebody/faces$"):
        ship(copy, tmp_path / "shipped", [], drawn=True)
    assert not (tmp_path / "shipped").exists()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/data/ferplus.zip", "???"),
        ("~/ferplus.zip", "???"),
        ("s3://bucket/ferplus.zip", "???"),
        ("sqlite:////home/somebody/mlflow.db", "???"),
        (["/runs/one", "/runs/two"], "???"),
        ("outputs/cache", "outputs/cache"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ([1, "fit"], [1, "fit"]),
        (None, None),
    ],
)
def test_places_become_question_marks(value: object, kept: object) -> None:
    text = "# what it is\n" + yaml.safe_dump({"name": "x", "dataset": {"root": value}})
    changed = anonymise_config(text)
    assert changed.startswith("# what it is\n# ??? stands for")
    assert yaml.safe_load(changed) == {"name": "x", "dataset": {"root": kept}}


def test_names_of_users_and_machines_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"by": "anna", "with": "annabel"}')
    (tmp_path / "b.npz").write_text("anna")
    assert find_leaks(tmp_path, ["anna"]) == ["a.json: anna"]


def test_the_card_promises_the_same_bits_only_of_a_run_that_began_by_itself() -> None:
    config = {"dataset": {"sources": {"ferplus": {"kind": "ferplus", "root": "???"}}}, "model": {"weights": "???"}}
    alone = "\n".join(render_repetition(config | {"trainer": {"resume_from": None}}, {}, "abc"))
    assert "the same weights to the bit, before they are rounded: SHA-256 abc." in alone
    assert "root=ferplus.zip model.weights=FILE  # trains it again" in alone
    resumed = "\n".join(render_repetition(config | {"trainer": {"resume_from": "???"}}, {}, "abc"))
    assert "model.weights=FILE trainer.resume_from=RUN  # trains it again" in resumed
    assert "whose checkpoint is not shipped" in resumed and "to the bit" not in resumed


def test_the_card_names_the_classes_that_are_missed() -> None:
    recalls = {"anger": 0.9, "disgust": 0.3, "fear": 0.59, "happiness": 0.95, "neutral": 0.8, "sadness": None}
    per_class = {
        name: {"samples": 0 if value is None else 10, "recall": {"value": value, "low": 0.1, "high": 1.0}}
        for name, value in recalls.items()
    }
    lines = render_weak_classes({"val": {"per_class": per_class}, "test": None})
    assert "**disgust, fear**" in lines[1] and "validation part" in lines[1]
    rows = [line for line in lines if line.startswith("| ") and "10" in line]
    assert rows[0] == "| disgust | 10 | 0.300 | 0.100 to 1.000 |" and len(rows) == 5


def test_the_card_names_terms_and_origin() -> None:
    config = {"dataset": {"sources": {"ferplus": {"kind": "ferplus"}}}, "model": {"weights": "???"}}
    digest = "267196842885d92bb44969a17467e1373d109310108bbe33263248d89f2a100a"
    text = "\n".join(render_terms(config, {"starting_weights_sha256": digest}))
    for words in (
        "FER2013's",
        "released for research",
        "FERPlus's, under the MIT licence",
        "int8",
        "Apache-2.0",
        digest,
    ):
        assert words in text
    assert "random weights" in "\n".join(render_terms(config, {"starting_weights_sha256": None}))
    assert "from weights with the SHA-256 ab." in "\n".join(render_terms(config, {"starting_weights_sha256": "ab"}))


def test_the_difference_is_plain_values() -> None:
    assert PrecisionDifference(3, 0.01, 1, None, None).to_dict() == {
        "images": 3,
        "max_probability_difference": 0.01,
        "changed_answers": 1,
        "accuracy_full": None,
        "accuracy_half": None,
    }
