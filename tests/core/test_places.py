"""What is passed on shows of a path only its last part."""

from pathlib import Path

import pytest

from fer.core.places import hide_places, hide_places_within


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/anna/faces", "…/faces"),
        ("root: /home/anna/study 7/faces.zip", "root: …/faces.zip"),
        ("train.py dataset.sources.x.root=/home/anna/faces seed=1", "train.py dataset.sources.x.root=…/faces seed=1"),
        ("a=[/x/y/z,/q/w/e]", "a=[…/z,…/e]"),
        ("damaged (/tmp/x/y.mp4: no such file)", "damaged (…/y.mp4: no such file)"),
        ("sqlite:////home/anna/m.db", "…/m.db"),
        ("--config-dir '/home/anna smith/a b' --config-name run", "--config-dir '…/a b' --config-name run"),
        ("seed: 3\nroot: ~anna/x/y\nx: [/a/b/c]\n", "seed: 3\nroot: …/y\nx: […/c]\n"),
        (r"C:\Users\anna\x.mp4", "…/x.mp4"),
    ],
)
def test_paths_are_shortened(text: str, shown: str) -> None:
    assert hide_places(text) == shown


@pytest.mark.parametrize(
    "text",
    ["and/or", "https://a.b/c/d", "s3://bucket/key/x", "image/png", "</div> <a/>", "1/2/3", "data:image/x,/9j/4"],
)
def test_other_texts_stay(text: str) -> None:
    assert hide_places(text) == text


def test_a_path_below_the_current_directory_is_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert hide_places_within({"a": [f"RUN is {folder}/outputs/train/x", 1]}) == {"a": ["RUN is outputs/train/x", 1]}
