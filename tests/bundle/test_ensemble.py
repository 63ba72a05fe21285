"""Several bundles as one: the mean of what their members answer, in every runtime; and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fer.bundle.ensemble import build_ensemble_content, check_members, write_ensemble
from fer.bundle.ensemble_card import render_ensemble_card
from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.metadata import BundleDescription, read_description
from fer.bundle.performance import read_performance
from fer.bundle.predictor import Predictor
from fer.core.image import to_native
from fer.emotions import CONTEMPT, EMOTIONS
from fer.errors import ModelError
from fer.metrics.calibration import Calibration
from tests.helpers.members import save_member
from tests.helpers.networks import faces

pytestmark = pytest.mark.slow

PICTURES = list(faces(6, 48))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("members")
    return [save_member(folder / str(mark), mark) for mark in (1, 2, 3)]


def write(folder: Path, members: list[Path], weights: list[float], **entries: Any) -> Path:
    descriptions = [read_description(str(member)) for member in members]
    write_ensemble(folder, descriptions, build_ensemble_content(descriptions, weights, entries))
    return folder


@pytest.fixture(scope="module")
def ensemble(members: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ensemble") / "bundle", members, [0.5, 0.3, 0.2])


@pytest.fixture
def copied(ensemble: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ensemble, tmp_path / "bundle"))


def test_a_list_answers_with_the_mean_of_its_models(members: list[Path]) -> None:
    alone = [Predictor.load(str(member)).predict(PICTURES) for member in members]
    assert not np.allclose(alone[0], alone[1], atol=0.05)
    together = Predictor.load([str(member) for member in members])
    assert together.classes == EMOTIONS
    np.testing.assert_allclose(together.predict(PICTURES), np.mean(alone, axis=0), atol=1e-6)
    assert together.predict([]).shape == (0, 7)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_bundle_of_several_networks_answers_with_their_weighted_mean(
    members: list[Path], ensemble: Path, runtime: Any
) -> None:
    alone = [Predictor.load(str(member)).predict(PICTURES, flip=True) for member in members]
    loaded = Predictor.load(str(ensemble.parent), runtime=runtime)
    expected = np.einsum("m,mnc->nc", [0.5, 0.3, 0.2], alone)
    np.testing.assert_allclose(loaded.predict(PICTURES, batch_size=4, flip=True), expected, atol=1e-5)


def test_the_mean_is_calibrated_by_the_ensembles_own_temperature(members: list[Path], tmp_path: Path) -> None:
    sharper = Predictor.load(str(write(tmp_path / "bundle", members[:2], [0.5, 0.5], temperature=0.5)))
    mean = Predictor.load([str(member) for member in members[:2]]).predict(PICTURES)
    expected = mean**2 / (mean**2).sum(1, keepdims=True)
    np.testing.assert_allclose(sharper.predict(PICTURES), expected, atol=1e-5)
    assert sharper.description.calibration == Calibration(0.5)


def test_members_may_differ_in_form_of_faces_size_and_order_of_classes(members: list[Path], tmp_path: Path) -> None:
    coloured = save_member(tmp_path / "colour", 4, FaceFormat(64, True), EMOTIONS[::-1], image_size=64)
    pictures = list(faces(3, 80))
    together = Predictor.load([str(members[0]), str(coloured)])
    assert (together.description.faces, together.description.image_size) == (FaceFormat(64, True), 64)
    native = [to_native(picture, 64, True) for picture in pictures]
    one, other = (Predictor.load(str(run)).predict(native) for run in (members[0], coloured))
    np.testing.assert_allclose(together.predict(pictures), (one + other[:, ::-1]) / 2, atol=1e-6)


def test_valence_and_arousal_are_answered_where_all_members_have_them(members: list[Path], tmp_path: Path) -> None:
    pair = [save_member(tmp_path / str(mark), mark, affect=True) for mark in (5, 6)]
    expected = np.mean([Predictor.load(str(run)).predict_all(PICTURES) for run in pair], axis=0)
    together = Predictor.load([str(run) for run in pair])
    assert together.columns == (*EMOTIONS, "valence", "arousal")
    np.testing.assert_allclose(together.predict_all(PICTURES), expected, atol=1e-6)
    mixed = Predictor.load([str(pair[0]), str(members[0])])
    assert mixed.columns == EMOTIONS and mixed.predict_all(PICTURES).shape == (6, 7)


def test_without_what_was_fitted_it_is_the_plain_mean_before_calibration(members: list[Path], ensemble: Path) -> None:
    raw = [Predictor.load(str(member)).without_calibration().predict(PICTURES) for member in members]
    plain = Predictor.load(str(ensemble)).without_calibration()
    np.testing.assert_allclose(plain.predict(PICTURES), np.mean(raw, axis=0), atol=1e-6)


def test_its_description_says_what_it_is_made_of(members: list[Path], ensemble: Path) -> None:
    content = yaml.safe_load((ensemble / "bundle.yaml").read_text())
    # Older programs refuse the format in one sentence.
    assert content["format"] == 3
    description = read_description(str(ensemble))
    assert description.architecture == "ensemble of 3 networks"
    assert [member.weight for member in description.members] == [0.5, 0.3, 0.2]
    digests = [member.description.weights_sha256 for member in description.members]
    assert digests == [read_description(str(member)).weights_sha256 for member in members]
    assert description.weights_sha256 not in digests
    assert description.content["data_fingerprint"] == "f" * 64


def test_the_card_names_members_and_all_their_data(ensemble: Path, copied: Path) -> None:
    card = render_ensemble_card("three", read_description(str(ensemble)), {})
    assert "| members/2 | mobilenetv2_035 | 48 | 0.2000 |" in card
    assert card.count("- drawn by all") == 1 and card.count("Faces drawn by this project") == 1
    (copied / "model_card.md").write_text(card, encoding="utf-8")
    assert read_performance(copied)["data"] == ["drawn 1", "drawn by all", "drawn 2", "drawn 3"]


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(bundle: Path) -> None:
        content = yaml.safe_load((bundle / "bundle.yaml").read_text())
        change(content)
        (bundle / "bundle.yaml").write_text(yaml.safe_dump(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda b: (b / "members/1/weights.safetensors").write_bytes(b"x"),
            "is not the file that bundle.yaml describes",
        ),
        (lambda b: (b / "members/1/weights.safetensors").unlink(), "members/1/weights.safetensors: cannot be loaded"),
        (lambda b: (b / "members/2/bundle.yaml").open("a").write("a: 1\n"), "members/2/bundle.yaml: is not the file"),
        (
            lambda b: shutil.rmtree(b / "members/0"),
            "members/0/bundle.yaml: is not the file that .*; restore the bundle",
        ),
        (edit(lambda c: c["members"].pop()), "the weights of the members must have the sum 1"),
        (edit(lambda c: c["members"].__delitem__(slice(1, None))), "members must be a list of 2 to 10"),
        (edit(lambda c: c["members"].extend(c["members"] * 3)), "members must be a list of 2 to 10"),
        (edit(lambda c: c["members"][0].update(weight=-0.5)), "weight must be from 0 to 1, not -0.5"),
        (edit(lambda c: c["members"][0].update(bundle_sha256="../x")), "bundle_sha256 must be a SHA-256"),
        (
            edit(lambda c: c["members"][0].update(weight=0.3) or c["members"][1].update(weight=0.5)),
            "not that of the members",
        ),
        (edit(lambda c: c.update(classes=[*EMOTIONS, CONTEMPT])), "a member has other classes"),
        (edit(lambda c: c.update(affect=True)), "a member has not learnt valence and arousal"),
        (edit(lambda c: c.update(members=None)), "members must be a list of 2 to 10"),
    ],
)
def test_a_damaged_ensemble_is_refused(copied: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(copied)
    with pytest.raises(ModelError, match=said):
        read_description(str(copied))


def test_an_ensemble_within_an_ensemble_is_refused(ensemble: Path, copied: Path) -> None:
    shutil.rmtree(copied / "members/0")
    shutil.copytree(ensemble, copied / "members/0")
    digest = read_description(str(ensemble)).sha256
    edit(lambda content: content["members"][0].update(bundle_sha256=digest))(copied)
    with pytest.raises(ModelError, match="members/0/bundle.yaml: cannot be read as a bundle .*format 3"):
        read_description(str(copied))


def test_what_cannot_be_one_ensemble_is_told_in_a_sentence(members: list[Path], ensemble: Path, tmp_path: Path) -> None:
    one, other = (read_description(str(member)) for member in members[:2])
    eight = read_description(str(save_member(tmp_path / "eight", 1, classes=(*EMOTIONS, CONTEMPT))))
    several = read_description(str(ensemble))

    def check(*described: BundleDescription) -> None:
        check_members(described, [f"M{number}" for number in range(len(described))])

    check(one, other)
    with pytest.raises(ModelError, match="M2: is the same model as M0; name each member once"):
        check(one, other, one)
    with pytest.raises(ModelError, match=r"M1: is an ensemble, which cannot be a member .*; name its members instead"):
        check(one, several)
    with pytest.raises(
        ModelError, match=r"M1: has the classes anger, .*contempt, but M0 has anger, .*surprise; members"
    ):
        check(one, eight)
    with pytest.raises(ModelError, match="an ensemble has 2 to 10 members, not 1"):
        check(one)


def test_what_takes_one_network_names_a_member(ensemble: Path) -> None:
    with pytest.raises(ModelError, match=rf"is an ensemble of 3 networks, .*, such as {ensemble}/members/0"):
        load_bundle(str(ensemble))
    assert load_bundle(str(ensemble / "members/0")).network.classes == 7
