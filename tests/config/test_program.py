"""The configuration as a user meets it: train.py's answers, and `python -m fer.config`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from fer.config import Config
from fer.config.compose import CONF, load_config, load_overrides
from fer.config.key_docs import iter_keys
from tests.helpers.composing import leaves
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]
HINT = "train.py: `python -m fer.config docs` lists every key, `python train.py --help` the groups and options"


def run(place: Path, *command: str) -> Done:
    return subprocess.run(
        [sys.executable, *command], cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def train(place: Path, *overrides: str) -> Done:
    return run(place, str(PROJECT / "train.py"), *overrides)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A run directory's run.yaml, as fer/runs/run_directory.py writes it."""
    config = load_overrides(["experiment=demo", "seed=7", "trainer.max_epochs=3"])
    directory = tmp_path / "saved"
    directory.mkdir()
    content = {"defaults": ["base", "_self_"], **config.dump()}
    (directory / "run.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return directory


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("trainer.max_epoch=3", "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch=3: there is no such key; did you mean trainer.max_epochs?"),
        ("trainer.threads=${nowhere}", "trainer.threads: Interpolation key 'nowhere' not found"),
        ("experiment=null", "experiment=null: a group is set to the name of an option, not to null or a number"),
    ],
)
def test_a_mistake_exits_with_2_and_leaves_no_run(override: str, answer: str, tmp_path: Path) -> None:
    done = train(tmp_path, override)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"train.py: {answer}", HINT]
    assert not list(tmp_path.glob("outputs/train/*"))
    assert not list(tmp_path.glob("outputs/*/*.log"))


def test_help_shows_every_group_with_its_options_and_the_examples(tmp_path: Path) -> None:
    done = train(tmp_path, "--help")
    assert done.returncode == 0
    for group in (path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        options = ", ".join(sorted(file.stem for file in group.glob("*.yaml")))
        assert f"\n{group.name}: {options}\n" in done.stdout
    examples = [line.split() for line in done.stdout.splitlines() if line.startswith("python train.py")]
    assert [example[2:4] for example in examples] == [
        [],
        ["experiment=ferplus", "dataset.sources.ferplus.root=ferplus.zip"],
        ["-m", "model=mobilenetv2_050,mobilenetv2_100"],
        ["resume=RUN_DIR"],
        ["sweep.resume=SWEEP_DIR"],
    ]
    assert not list(tmp_path.iterdir())


def test_the_examples_of_the_help_are_valid(tmp_path: Path) -> None:
    (tmp_path / "ferplus.zip").touch()
    (tmp_path / "FILE").touch()
    (tmp_path / "RUN_DIR").mkdir()
    places = {name: str(tmp_path / name) for name in ("ferplus.zip", "FILE", "RUN_DIR")}
    text = (PROJECT / "fer/cli/train.py").read_text(encoding="utf-8")
    examples = re.findall(r"^ *python train\.py(.*)$", text, re.MULTILINE)
    assert len(examples) == 5
    # That of a sweep stands for the command that started it.
    for example in (text for text in examples if "sweep.resume" not in text):
        overrides = []
        for word in example.split():
            key, _, value = word.partition("=")
            if key != "-m":
                overrides.append(f"{key}={places.get(value, value.split(',')[0])}")
        assert load_overrides(overrides).trainer.stages == ("fit", "test")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    done = run(PROJECT, "-m", "fer.config", "schema")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from properties(inner)
    if isinstance(node, dict) and isinstance(node.get("properties"), dict):
        yield from node["properties"].items()


def test_the_schema_describes_every_property(schema: dict[str, Any]) -> None:
    # Those of Hydra are described by Hydra.
    own = {name: node for name, node in schema["properties"].items() if name not in ("hydra", "defaults")}
    found = list(properties({**schema, "properties": own}))
    assert {name for name, _ in found} == {part for key in iter_keys(Config) for part in key.name.split(".")} - {
        "<name>"
    }
    assert [name for name, described in found if len(described.get("description", "")) < 5] == []


def test_the_schema_holds_what_the_check_holds(schema: dict[str, Any]) -> None:
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Trainer"]["additionalProperties"] is False
    assert schema["$defs"]["Trainer"]["properties"]["max_epochs"]["minimum"] == 1
    assert schema["$defs"]["Schedule"]["properties"]["interval"]["enum"] == ["epoch", "step"]
    kinds = schema["$defs"]["Dataset"]["properties"]["sources"]["additionalProperties"]["discriminator"]
    assert sorted(kinds["mapping"]) == [
        *("clips", "fer2013", "ferplus", "folder", "rafdb", "synthetic", "synthetic_clips", "table")
    ]
    references = re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema))
    assert set(references) == set(schema["$defs"])


@pytest.fixture(scope="module")
def table() -> str:
    done = run(PROJECT, "-m", "fer.config", "docs")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_lists_each_key_once(table: str) -> None:
    header, rule, *rows = table.splitlines()
    assert (header, rule) == ("| key | allowed | meaning |", "| --- | --- | --- |")
    names = [re.match(r"\| `([^`]+)` \| .+ \| .+ \|$", row).group(1) for row in rows]  # type: ignore[union-attr]
    assert len(set(names)) == len(names)
    known = set(leaves(load_overrides([]).dump()))
    assert {name.replace("<name>", "synthetic") for name in names} >= known
    # Outside of code, Markdown would take <class> for a tag and show nothing.
    assert re.findall(r"<\w+>", re.sub(r"`[^`]*`", "", table)) == []


def test_the_documentation_is_the_table(table: str) -> None:
    """Written by `python -m fer.config docs > docs/reference/configuration.md`."""
    assert (PROJECT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8") == table


def test_the_keys_of_a_study_are_documented() -> None:
    """Written by `python -m fer.config docs study`, below the text of docs/reference/study-file.md."""
    printed = run(PROJECT, "-m", "fer.config", "docs", "study").stdout
    page = (PROJECT / "docs" / "reference" / "study-file.md").read_text(encoding="utf-8")
    assert printed.count("\n") > 30 and printed in page


def test_other_words_show_the_usage() -> None:
    done = run(PROJECT, "-m", "fer.config", "shema")
    assert done.returncode == 2
    assert done.stderr == "usage: python -m fer.config schema [NAME] | schemas DIR | docs [study] | diff A B\n"


def test_a_saved_run_replays_with_overrides(saved: Path, tmp_path: Path) -> None:
    done = train(tmp_path, "--config-dir", str(saved), "--config-name", "run", "seed=8", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    replayed = load_config(OmegaConf.create(done.stdout))
    assert replayed == load_overrides(["experiment=demo", "seed=8", "trainer.max_epochs=3"])


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        (
            "dataset=rafdb",
            "dataset: this configuration holds values, not a choice of dataset option, so `dataset=…` cannot replace "
            "it; override single keys (dataset.KEY=VALUE), or merge an option over the saved values with "
            "`+dataset=OPTION`",
        ),
        ("trainer.max_epoch=3", "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch=3: there is no such key; did you mean trainer.max_epochs?"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0: must be at least 1"),
    ],
)
def test_a_saved_run_refuses_mistakes_as_any_other(override: str, answer: str, saved: Path, tmp_path: Path) -> None:
    done = train(tmp_path, "--config-dir", str(saved), "--config-name", "run", override)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"train.py: {answer}", HINT]


def test_a_saved_run_takes_an_option_on_top(saved: Path, tmp_path: Path) -> None:
    done = train(
        tmp_path, "--config-dir", str(saved), "--config-name", "run", "+optimizer=adamw_cosine", "--cfg", "job"
    )
    assert done.returncode == 0, done.stderr
    replayed = load_config(OmegaConf.create(done.stdout))
    assert (replayed.optimizer.schedule.kind, replayed.optimizer.lr) == ("cosine", 5e-4)
    assert (replayed.seed, replayed.model.image_size) == (7, 64)
