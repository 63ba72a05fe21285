"""Section `annotation`: one annotator or several, ensembles among them, and what is no annotator."""

import pytest

from fer.config.annotation import Annotation
from fer.config.compose import load_overrides
from fer.errors import ConfigError


def load(*overrides: str) -> Annotation:
    return load_overrides(list(overrides), "annotate").annotation


def test_one_annotator_is_a_list_of_one() -> None:
    assert load().by == ("pretrained",)
    assert load("annotation.by=latest").by == ("latest",)
    assert load("annotation.by=[deepface,[a,b],c]").by == ("deepface", ("a", "b"), "c")
    assert load("annotation.deepface.actions=emotion").deepface.actions == ("emotion",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("annotation.by=[]", "annotation.by"),
        ("annotation.by=[a,a]", "names a twice"),
        ("annotation.by=[[a,deepface]]", "deepface is an annotator of its own"),
        ("annotation.by=[[a]]", "2 to 10 models"),
        ("annotation.deepface.actions=[emotion,race]", "race is not offered: it cannot be seen in a face"),
        ("annotation.deepface.actions=[age]", "must name emotion"),
        ("annotation.deepface.timeout_s=0", "annotation.deepface.timeout_s=0"),
        ("annotation.batch_size=0", "annotation.batch_size=0"),
    ],
)
def test_what_cannot_be_is_one_sentence(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(override)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
