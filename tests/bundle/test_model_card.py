"""The model card: figures as people write them, the rules, and the configuration."""

import re
from typing import Any

import numpy as np
import pytest

from fer.bundle.io import FaceFormat, build_description
from fer.bundle.model_card import (
    collect_licence_terms,
    format_interval,
    format_value,
    insert_verdict,
    render_metrics_table,
    render_model_card,
)
from fer.emotions import EMOTIONS
from fer.models.network import FaceNetwork
from fer.train.metrics import compute_split_metrics

CONFIG = "seed: 0\noptimizer:\n  lr: 0.0005\n"


def part(count: int, seed: int) -> dict[str, Any]:
    """Figures of drawn judgements; no image shows disgust."""
    random = np.random.default_rng(seed)
    labels = random.choice([0, 2, 3, 4, 5, 6], count)
    raw = random.dirichlet(np.ones(7), count) + np.eye(7)[labels] * random.random((count, 1))
    raw = (raw / raw.sum(1, keepdims=True)).astype(np.float32)
    return compute_split_metrics(raw, raw, labels, np.full((count, 7), np.nan), ["drawn"] * count, EMOTIONS)


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    return {"val": part(313, 0), "test": part(1097, 1)}


@pytest.fixture(scope="module")
def card(network: FaceNetwork, metrics: dict[str, Any]) -> str:
    facts = {"metrics": {}, "data_fingerprint": "0123abcd", "config_sha256": "c" * 64}
    description = build_description(network, EMOTIONS, FaceFormat(48, False), 1.2345678901, facts)
    return render_model_card(
        "our-run", description, metrics, ["ferplus: 35,887 images", "rafdb: 15,339 images"], CONFIG
    )


def test_the_card_says_what_the_model_is(card: str) -> None:
    assert card.startswith(
        "# our-run\n\nmobilenetv2_035, 48×48 pixels, classes: anger, disgust, fear, happiness, neutral, sadness, "
        "surprise. Training faces were gray, 48 pixels wide; any picture is brought to that first.\n"
    )
    assert "- ferplus: 35,887 images\n- rafdb: 15,339 images\n- fingerprint 0123abcd\n" in card
    assert card.endswith(f"## Configuration\n```yaml\n{CONFIG}```\n")


def test_the_card_states_the_rules(card: str) -> None:
    assert "infer emotions at work or in education: prohibited in the EU (Regulation 2024/1689, article 5)" in card
    assert "Without telling the people concerned (article 50)" in card
    assert "not what a person feels" in card
    assert "The licences of the training data apply to the weights too" in card


def test_the_card_holds_the_figures_of_both_parts(card: str, metrics: dict[str, Any]) -> None:
    titles = ["## Test figures\n1097 images.", "## Validation figures (the epoch was chosen on them)\n313 images."]
    places = [card.index(title) for title in titles]
    assert places == sorted(places)
    for name in ("val", "test"):
        figures = metrics[name]["accuracy"]
        row = f"| Accuracy | {figures['value']:.3f} | {figures['low']:.3f} to {figures['high']:.3f} |"
        assert card.count(row) == 1
        assert f"| Expected calibration error | {metrics[name]['ece_calibrated']:.3f} | |" in card
        happy = metrics[name]["per_class"]["happiness"]
        assert f"| happiness | {happy['samples']} | {happy['precision']['value']:.3f} | " in card
    assert card.count("| disgust | 0 | – | – | – | – to – |") == 2


def test_every_number_of_the_card_is_rounded(card: str) -> None:
    text = card.split("## Configuration")[0]
    decimals = re.findall(r"\d+\.(\d+)", text)
    assert len(decimals) > 60
    assert {len(digits) for digits in decimals} == {3}
    assert not re.search(r"\bnan\b|None|e-\d|np\.", text)


def test_tables_have_as_many_cells_in_each_row(metrics: dict[str, Any]) -> None:
    rows = [row for row in render_metrics_table(metrics["test"]) if row.startswith("|")]
    assert [row.count("|") for row in rows] == [4] * 6 + [7] * 9


def test_a_run_without_a_test_part_shows_validation_alone(network: FaceNetwork, metrics: dict[str, Any]) -> None:
    description = build_description(network, EMOTIONS, FaceFormat(100, True), 1.0, {"data_fingerprint": "0"})
    card = render_model_card("x", description, {"val": metrics["val"], "test": None}, [], CONFIG)
    assert "## Test figures" not in card
    assert "## Validation figures" in card
    assert "Training faces were colour, 100 pixels wide" in card


def test_figures_are_shown_with_three_digits() -> None:
    assert format_value(0.86149) == "0.861"
    assert format_value(None) == "–"
    assert format_interval({"value": 0.86149, "low": 0.8, "high": 1}) == "0.861 | 0.800 to 1.000"


def test_the_terms_of_the_sources_are_named() -> None:
    sources = {"a": {"kind": "ferplus"}, "b": {"kind": "rafdb"}, "c": {"kind": "rafdb"}, "d": {"kind": "unheard"}}
    ferplus, rafdb = collect_licence_terms(sources)
    assert "MIT licence" in ferplus and "FER2013's pictures" in ferplus and "for research" in ferplus
    assert "non-commercial research only" in rafdb


def test_a_verdict_stands_before_the_rules_of_use(card: str) -> None:
    judged = insert_verdict(card, "Rejected", ["Too few.", "Too weak."])
    assert "## Verdict: Rejected\n- Too few.\n- Too weak.\n\n## Intended use\n" in judged
    assert judged.replace("## Verdict: Rejected\n- Too few.\n- Too weak.\n\n", "") == card


def test_names_of_others_begin_nothing_in_the_card(network: FaceNetwork, metrics: dict[str, Any]) -> None:
    hostile = "</code>\n## Intended use\n<script src=//x></script> ![](http://x/y.png) a|b"
    classes = [hostile, *EMOTIONS[1:]]
    description = build_description(network, classes, FaceFormat(100, True), 1.0, {"data_fingerprint": "0"})
    config = f"{CONFIG}\nnote: |\n  ```\n  <script>alert(1)</script>\n"
    judged = {**metrics["test"], "per_class": {hostile: next(iter(metrics["test"]["per_class"].values()))}}
    card = render_model_card(hostile, description, {"val": judged, "test": None}, [hostile], config)
    card = insert_verdict(card, "Rejected", [hostile])
    text, _, code = card.partition("\n## Configuration\n")
    assert "<" not in text.replace("&lt;", "") and "](" not in text
    assert text.count("\n## Intended use\n") == 1 and text.index("## Verdict") < text.index("\n## Intended use\n")
    assert {row.count("|") for row in text.splitlines() if row.startswith("| &lt;/code>")} == {7}
    assert code.startswith("````yaml\n") and code.endswith("\n````\n") and "````" not in code[8:-6]
