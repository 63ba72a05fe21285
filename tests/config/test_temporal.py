"""Models of clips: what does not go together is refused or told, with the key and the remedy."""

import pytest

from fer.config.contradictions import find_contradictions
from fer.errors import ConfigError
from tests.helpers.composing import load_values

CLIPS = "dataset=synthetic_clips"
TEMPORAL, VIDEO3D = ("model=temporal", CLIPS), ("model=video3d", CLIPS)


@pytest.mark.parametrize(
    ("options", "override", "words"),
    [
        (TEMPORAL, "model.flip=true", "not of clips (model.kind=temporal); use model.flip=false"),
        (VIDEO3D, "model.affect=true", "not of clips (model.kind=video3d); use model.affect=false"),
        (TEMPORAL, "model.teacher=[pretrained]", "use model.teacher=[]"),
        (TEMPORAL, "model.unfreeze_per_epoch=1", "use model.unfreeze_per_epoch=0"),
        (TEMPORAL, "model.head_epochs=1", "use false, or model.head_epochs=0"),
        (TEMPORAL, "model.weights=pretrained", "both say where the frame encoder starts"),
        (TEMPORAL, "model.name=r3d_18", "is a network of torchvision for clips; use model=video3d"),
        (TEMPORAL, "model.temporal.head=lsmt", "allowed are mean, gru, lstm, attention or tcn"),
        (VIDEO3D, "model.name=resnet50", "allowed are r3d_18, mc3_18, r2plus1d_18"),
        (VIDEO3D, "model.temporal.loss=frame", "use model.temporal.loss=clip"),
        ((), "model.encoder=pretrained", "only a network with model.kind=temporal or embedding_head has an encoder"),
    ],
)
def test_what_does_not_fit_the_kind_is_refused(options: tuple[str, ...], override: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_values(override, options=options)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("options", "override", "words"),
    [
        ((), "model.temporal.head=tcn", "model.temporal.head=tcn has no effect with model.kind=frame"),
        (VIDEO3D, "model.temporal.hidden=64", "model.temporal.hidden=64 has no effect with model.kind=video3d"),
        (
            (*TEMPORAL, "model.temporal.head=mean"),
            "model.temporal.layers=2",
            "layers has no effect with model.temporal.head=mean",
        ),
        (TEMPORAL, "model.encoder=null", "keeps an encoder of random weights"),
    ],
)
def test_what_has_no_effect_is_told(options: tuple[str, ...], override: str, words: str) -> None:
    assert any(words in line for line in find_contradictions(load_values(override, options=options)))


def test_the_options_themselves_contradict_nothing() -> None:
    for options in (TEMPORAL, VIDEO3D):
        assert find_contradictions(load_values("trainer.threads=1", options=options)) == []
    assert find_contradictions(load_values("model.temporal.length=8", options=VIDEO3D)) == []
