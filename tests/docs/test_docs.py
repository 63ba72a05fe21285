"""The documentation builds, its links hold, and it says what the code has: columns, fields, exit codes, layers."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from fer.bundle.model_card import FORBIDDEN_USES
from fer.cli import COMMANDS
from fer.compare.tables import FACT_COLUMNS
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.errors import ExitCode
from fer.infer.group_analysis import COMPARISON_COLUMNS, CURVE_COLUMNS
from fer.infer.smoothing import smooth
from fer.infer.summary import summarize_videos
from fer.infer.table import build_table
from fer.monitoring.report import build_monitoring
from fer.sweep.records import Sweep, SweepJob
from fer.synthetic.video import TRUTH_COLUMNS
from fer.train.callbacks import HISTORY_COLUMNS
from fer.train.inputs import prepare_data
from fer.train.metrics import compute_split_metrics
from fer.video.probe import VideoInfo
from tests.helpers.paths import PROJECT

DOCS = PROJECT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
NOTES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
RUN_DIRECTORY, EMOTION_TABLE = DOCS / "reference" / "run-directory.md", DOCS / "reference" / "emotion-table.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return directory


class Tags(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.slow
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    """Links and anchors are checked by MkDocs itself, which refuses to build otherwise."""
    pages = {page.relative_to(site).with_suffix("").as_posix() for page in site.rglob("*.html")}
    assert pages >= {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    for page in site.rglob("*.html"):
        elements = Tags(page).elements
        loaded = [found.get("src") for tag, found in elements if tag in ("script", "img", "iframe")]
        loaded += [found.get("href") for tag, found in elements if tag == "link"]
        assert not [address for address in loaded if re.match(r"(https?:)?//", address or "")], page
        assert all(found.get("alt") for tag, found in elements if tag == "img"), page
    assert (site / "search" / "search_index.js").is_file()


@pytest.mark.slow
def test_the_page_of_commands_shows_the_help_of_each_program(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "Train a facial-expression classifier" in text
    assert "usage: python -m fer.compare" in text
    assert "help: -m" not in text


@pytest.mark.slow
def test_the_reference_of_names_describes_each(site: Path) -> None:
    anchors = {found.get("id") for _, found in Tags(site / "reference" / "api.html").elements}
    documented = re.findall(r"^::: (\S+)$", (DOCS / "reference" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(documented) >= 15
    for name in documented:
        assert name in anchors
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def iter_links(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            yield target


def heading_anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_the_links_of_the_notes_hold(note: Path) -> None:
    """MkDocs knows only pages of the site."""
    for target in iter_links(note.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        page = PROJECT / path if path else note
        assert page.exists(), target
        assert not anchor or anchor in heading_anchors(page), target


def test_the_snippets_of_python_import_what_there_is() -> None:
    for page in [*NOTES, *PAGES]:
        for code in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom):
                    module = importlib.import_module(str(node.module))
                    assert all(hasattr(module, alias.name) for alias in node.names), (page, node.module)


def documented_names(page: Path) -> set[str]:
    """What stands in code in a page; `p_anger` … `p_surprise` and `mean_EMOTION` stand for every emotion."""
    return {word.replace("EMOTION", "anger") for word in re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8"))}


def undocumented(page: Path, names: Iterable[str]) -> list[str]:
    known = documented_names(page)
    emotion = re.compile(rf"_({'|'.join(EMOTIONS)})$")
    return [name for name in names if name not in known and emotion.sub("_anger", name) not in known]


@pytest.fixture(scope="module")
def emotion_table() -> pd.DataFrame:
    """An emotion table with a single face."""
    row = {"video": "a.mp4", "frame": 0, "time_s": 0.0, "track_id": 0, "status": "ok", "reason": ""}
    table = build_table([row]).assign(**{f"p_{name}": 1 / 7 for name in EMOTIONS}, emotion="fear", confidence=1 / 7)
    return smooth(table, "gaussian", 0.5, 2.0)


def test_every_column_of_the_emotion_table_is_described(emotion_table: pd.DataFrame) -> None:
    videos = summarize_videos(emotion_table, pd.DataFrame({"video": ["a.mp4"], "path": ["a.mp4"], "problem": [""]}))
    facts = [field.name for field in fields(VideoInfo)]
    names = [*emotion_table, *videos, *facts, *CURVE_COLUMNS, *COMPARISON_COLUMNS, *TRUTH_COLUMNS]
    assert undocumented(EMOTION_TABLE, names) == []


def test_every_field_of_the_monitoring_is_described(emotion_table: pd.DataFrame) -> None:
    limits = load_overrides([], "infer").inference.monitor
    videos = pd.DataFrame({"video": ["a.mp4"], "problem": [""]})
    facts = {"model": "RUN", "baseline": None, "retraining_command": ""}
    assert undocumented(EMOTION_TABLE, build_monitoring(emotion_table, videos, None, None, 0.0, limits, facts)) == []


def test_every_column_and_field_of_a_run_is_described(emotion_table: pd.DataFrame, tmp_path: Path) -> None:
    small = [f"dataset.cache_dir={tmp_path}", "dataset.sources.synthetic.count=100", "dataset.on_empty_class=ignore"]
    manifest = prepare_data(load_overrides([*small, "dataset.sources.synthetic.size=32"]), 32).manifest
    assert undocumented(RUN_DIRECTORY, [*manifest.samples, *manifest.excluded]) == []
    probabilities = emotion_table[[f"p_{name}" for name in EMOTIONS]].to_numpy()
    labels = pd.Series([0]).to_numpy()
    metrics = compute_split_metrics(probabilities, probabilities, labels, probabilities, ["drawn"], EMOTIONS)
    known = {name.partition(".")[0] for name in documented_names(RUN_DIRECTORY)}
    assert set(metrics) <= known
    sweep = [field.name for record in (Sweep, SweepJob) for field in fields(record)]
    assert undocumented(RUN_DIRECTORY, [*HISTORY_COLUMNS, *FACT_COLUMNS, *sweep]) == []


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {code.name: code.value for code in ExitCode}


def test_every_command_has_its_help_on_the_page() -> None:
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- help: (?:-m )?(\S+) -->", text)
    scripts = {"fer.cli.train": "train.py", "fer.cli.infer": "infer.py", "fer.cli.register": "register.py"}
    # fer.config has no help but its usage, which stands there in words.
    modules = {scripts.get(module, module) for module, _ in COMMANDS.values()} - {"fer.config"}
    assert set(shown) == modules
    assert "usage: python -m fer.config" in text


def test_the_drawing_shows_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = [set(re.findall(r"\w+", layer)) for layer in layers]
    heights: dict[float, set[str]] = {}
    for group in ElementTree.parse(DOCS / "layers.svg").iter("{http://www.w3.org/2000/svg}g"):
        box, name, _ = group
        heights.setdefault(float(box.attrib["y"]), set()).add(str(name.text))
    assert [heights[height] for height in sorted(heights)] == rooms


def test_the_limits_of_use_are_those_of_the_model_card() -> None:
    page = " ".join((DOCS / "explanation" / "responsible-use.md").read_text(encoding="utf-8").split())
    for line in FORBIDDEN_USES.strip().splitlines():
        start = " ".join(line.removeprefix("- ").split())[:60]
        assert start in page, line
