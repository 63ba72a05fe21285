"""`python -m fer.explain`: its files, its page, and what it refuses."""

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.locate import pin_pretrained
from fer.bundle.predictor import Predictor
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.explain import __main__ as command
from fer.explain import pipeline
from fer.explain.__main__ import explain
from fer.explain.attributions import METHODS
from fer.explain.embeddings import EmbeddedData, write_embeddings
from fer.models.embeddings import predict_embeddings
from fer.models.network import FaceNetwork
from tests.helpers.networks import faces, lively, one_thread
from tests.helpers.served_runs import run_of

pytestmark = pytest.mark.slow

COUNT = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = lively(FaceNetwork("test_resnet", 7, 64, 0.0))
    return run_of(tmp_path_factory.mktemp("model"), network, FaceFormat(48, False))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(faces(3, 48, 1, seed=3)):
        cv2.imwrite(str(folder / f"face {number}.png"), image)
    return folder


@pytest.fixture(scope="module")
def embedded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the stage embed: the explained pictures are its faces 0, 1 and 2."""
    folder = tmp_path_factory.mktemp("embedded")
    images = np.concatenate([faces(3, 48, 1, seed=3), faces(COUNT - 3, 48, 1, seed=4)])
    np.save(folder / "images.npy", images)
    bundle = load_bundle(str(model))
    embeddings, _ = predict_embeddings(bundle.network, images, np.arange(COUNT))
    samples = pd.DataFrame(
        {
            "sample_id": [f"mine/{number}" for number in range(COUNT)],
            "source": "mine",
            "path": [str(number) for number in range(COUNT)],
            "split": ["train"] * (COUNT - 1) + ["test"],
            "label": [EMOTIONS[number % 7] for number in range(COUNT)],
        }
    )
    data = EmbeddedData(
        samples, EMOTIONS, embeddings, np.eye(7)[np.zeros(COUNT, int)], images, str(folder / "images.npy")
    )
    write_embeddings(folder, data, bundle.description.weights_sha256)
    return folder


@pytest.fixture(scope="module")
def explained(model: Path, pictures: Path, embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "out"
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "SANITY_STEPS", 2)
        return explain([f"model_uri={model}", str(pictures)], out, neighbours=embedded)


def test_the_numbers_are_those_of_the_model(explained: Path, model: Path, pictures: Path) -> None:
    content = json.loads((explained / "explanation.json").read_text())
    rows = content["faces"]
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(pictures.iterdir())]
    expected = Predictor.load(str(model)).predict(images)
    assert [row["face"] for row in rows] == ["face 0.png", "face 1.png", "face 2.png"]
    np.testing.assert_allclose([[row["p"][name] for name in EMOTIONS] for row in rows], expected, atol=1e-5)
    assert [row["explained"] for row in rows] == [EMOTIONS[column] for column in expected.argmax(1)]
    table = pd.read_csv(explained / "explanation.csv")
    assert table["face"].tolist() == [row["face"] for row in rows]
    np.testing.assert_allclose(table[[f"p_{name}" for name in EMOTIONS]], expected, atol=1e-5)
    assert {row["part"] for row in content["sanity_check"]} == {"the classifier", "the last half", "all layers"}


def test_the_nearest_face_of_a_training_picture_is_itself(explained: Path) -> None:
    rows = json.loads((explained / "explanation.json").read_text())["faces"]
    for number, row in enumerate(rows):
        nearest = row["neighbours"]
        assert nearest[0]["sample_id"] == f"mine/{number}"
        assert nearest[0]["similarity"] == pytest.approx(1, abs=1e-5)
        similarities = [neighbour["similarity"] for neighbour in nearest]
        assert similarities == sorted(similarities, reverse=True)
        # The last one is of the test part.
        assert f"mine/{COUNT - 1}" not in [neighbour["sample_id"] for neighbour in nearest]


def test_every_map_is_a_file_of_the_networks_size(explained: Path) -> None:
    names = {path.name for path in (explained / "maps").iterdir()}
    plain = [f"{number + 1:03d}-face-{number}" for number in range(3)]
    assert names == {f"{name}{tail}.png" for name in plain for tail in ("", *(f"-{method}" for method in METHODS))}
    assert {cv2.imread(str(path)).shape for path in (explained / "maps").iterdir()} == {(64, 64, 3)}


def test_the_page_holds_everything_itself(explained: Path) -> None:
    page = (explained / "explanation.html").read_text(encoding="utf-8")
    for title in METHODS.values():
        assert title in page
    for name in ("face 0.png", "face 1.png", "face 2.png", "Nearest training faces", "adds up to", *EMOTIONS):
        assert name in page
    assert set(re.findall(r'src="([^"]{5})', page)) == {"data:"}
    assert "not what the person felt" in page
    assert "arxiv.org/abs/1810.03292" in page


def test_nothing_is_overwritten(explained: Path, model: Path, pictures: Path) -> None:
    before = (explained / "explanation.json").read_bytes()
    with pytest.raises(UserError, match="is there already, and nothing is overwritten; choose another --out"):
        explain([f"model_uri={model}", str(pictures)], explained)
    assert (explained / "explanation.json").read_bytes() == before


def test_another_emotion_is_explained_on_request(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SANITY_STEPS", 2)
    with one_thread():
        out = explain([f"model_uri={model}", str(pictures / "face 1.png")], tmp_path / "out", emotion="disgust")
    row = json.loads((out / "explanation.json").read_text())["faces"][0]
    assert row["explained"] == "disgust"
    assert row["neighbours"] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "name an image, a directory or a glob to explain"),
        (("nowhere.png",), "nowhere.png"),
        (("broken.png",), "broken.png"),
        (("{picture}", "model_uri=nowhere"), "model_uri=nowhere: no such file or directory"),
        (("{picture}", "{model}", "--emotion", "joy"), "--emotion joy: the model knows anger, disgust"),
        (("{picture}", "{model}", "--neighbours", "empty"), "empty: holds no embeddings.npy; make it with train.py"),
        (("{picture}", "{model}", "modle.name=x"), "modle"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...],
    sentence: str,
    model: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "empty").mkdir()
    filled = [word.format(picture=pictures / "face 0.png", model=f"model_uri={model}") for word in words]
    monkeypatch.setattr(sys, "argv", ["explain", *(filled or [f"model_uri={model}"])])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code in (1, 2)
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "outputs" / "explain").exists()


def test_embeddings_of_another_model_are_refused(model: Path, pictures: Path, embedded: Path, tmp_path: Path) -> None:
    other = tmp_path / "embedded"
    other.mkdir()
    for path in embedded.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    facts = json.loads((other / "embeddings.json").read_text())
    (other / "embeddings.json").write_text(json.dumps({**facts, "weights_sha256": "0" * 64}))
    with pytest.raises(UserError, match="these embeddings are of another model"):
        explain([f"model_uri={model}", str(pictures)], tmp_path / "out", neighbours=other)
    (other / "embeddings.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="the embeddings cannot be read"):
        explain([f"model_uri={model}", str(pictures)], tmp_path / "out", neighbours=other)


def test_faces_are_found_in_larger_pictures(tmp_path: Path) -> None:
    from fer.config.compose import load_overrides
    from fer.explain.faces import cut_faces
    from tests.helpers.faces import drawn_frame, person

    cv2.imwrite(str(tmp_path / "one.png"), drawn_frame([(person(1), (320, 180), 200)]))
    cv2.imwrite(str(tmp_path / "none.png"), np.full((360, 640, 3), 128, np.uint8))
    config = load_overrides(["extraction=haar"], "infer").extraction
    none, one = cut_faces([str(tmp_path)], config, whole=False)
    assert one.box is not None
    assert one.image.shape[0] == one.image.shape[1] < 360
    assert abs(one.box[0] + one.box[2] / 2 - 320) < 40
    assert none.box is None
    assert none.note == "no face was found, so this is the whole image"
    assert [face.image.shape[:2] for face in cut_faces([str(tmp_path)], config, whole=True)] == [(360, 640)] * 2


def test_without_a_model_it_is_the_one_of_infer_py(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_explain_by_model", lambda config, *_: Path(str(config.model_uri)))
    assert str(explain([str(pictures)], tmp_path / "out")) == pin_pretrained()
