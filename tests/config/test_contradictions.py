"""Settings that contradict each other are told, each with its keys and a remedy."""

import pytest
import timm
import torch

from fer.config.compose import load_overrides
from fer.config.contradictions import find_contradictions
from fer.core.system import resolve_thread_count
from tests.helpers.composing import complete_option, composed
from tests.helpers.paths import PROJECT

MANY = resolve_thread_count(None) + 1
KIND = "optimizer.schedule.kind"
SWA = ("trainer.ema_decay=0", "trainer.swa_start=0.5", "trainer.max_epochs=20")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.head_epochs=3", "trainer.max_epochs=3"], "nothing but the classifier ever trains"),
        (["model.head_epochs=1"], "a frozen body of random weights"),
        ([f"model.weights_sha256={'a' * 64}"], "has nothing to check with model.weights=none"),
        (["dataset.augment.mixup=0.2", "dataset.augment.mix_probability=0"], "dataset.augment.mixup=0.2 has no effect"),
        (["dataset.augment.cutmix=1", "dataset.augment.mix_probability=0"], "dataset.augment.cutmix=1 has no effect"),
        (["model.loss.focal_gamma=3"], "model.loss.focal_gamma=3 has no effect with model.loss.kind=cross_entropy"),
        (["optimizer=adamw_constant", "optimizer.schedule.final=0.1"], "optimizer.schedule.final=0.1 has no effect"),
        (
            ["optimizer.schedule.kind=CosineAnnealingLR", "optimizer.schedule.warmup=0.1"],
            "optimizer.schedule.warmup=0.1 has no effect with optimizer.schedule.kind=CosineAnnealingLR",
        ),
        (
            ["optimizer.schedule.kind=CosineLRScheduler", "optimizer.schedule.final=0.1"],
            "optimizer.schedule.final=0.1 has no effect with optimizer.schedule.kind=CosineLRScheduler",
        ),
        (["optimizer.schedule.options={T_0: 5}"], "optimizer.schedule.options has no effect"),
        (["optimizer.schedule.interval=step"], "optimizer.schedule.interval=step has no effect"),
        (["model.loss.logit_adjustment=0.3", "evaluation.logit_adjustment=0.3"], "rare classes are raised twice"),
        (["dataset.fractions=[0.6,0.2,0.2]"], "dataset.fractions has no effect with dataset.split=official"),
        (
            [f"trainer.devices={MANY}", "trainer=cpu"],
            f"trainer.devices={MANY}: more processes than the {MANY - 1} cores",
        ),
        ([f"trainer.threads={MANY}"], f"trainer.threads={MANY}: "),
        (["trainer.ema_decay=0", "trainer.swa_start=0.5"], "so that their weights differ less and less"),
        *(
            ([*SWA, f"{KIND}={kind}", *more], f"kind={kind} lets the learning rate fall to {rate} of its largest")
            for kind, rate, more in (
                ("CosineAnnealingLR", 0, ()),
                ("CosineAnnealingLR", 0.05, ("optimizer.lr=0.01", "optimizer.schedule.options.eta_min=0.0005")),
                ("CosineAnnealingLR", 0, ("optimizer.schedule.options.T_max=20",)),
                ("CosineLRScheduler", 0, ("optimizer.schedule.interval=step",)),
                ("TanhLRScheduler", 0.01, ("optimizer.lr=0.01", "optimizer.schedule.options.lr_min=0.0001")),
                ("PolyLRScheduler", 0, ()),
                ("WSDLRScheduler", 0, ("optimizer.schedule.options.decay_t=5",)),
                ("OneCycleLR", 4e-06, ()),
                ("OneCycleLR", 0.01, ("optimizer.schedule.options={div_factor: 10, final_div_factor: 10}",)),
            )
        ),
        ([*SWA, "trainer.swa_start=0.9", "trainer.max_epochs=10"], "one epoch alone; use a smaller trainer.swa_start"),
        ([*SWA, "trainer.swa_start=0.97"], "trainer.swa_start=0.97 with trainer.max_epochs=20 averages one epoch"),
        ([*SWA, "trainer.max_epochs=1"], "averages one epoch alone; use a larger trainer.max_epochs"),
        (
            ["model.name=vit_tiny_patch16_224", "model.image_size=100"],
            "the right and the bottom 4 pixels of every image",
        ),
    ],
)
def test_a_contradiction_is_told(overrides: list[str], words: str) -> None:
    assert words in " / ".join(find_contradictions(load_overrides(overrides)))


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"optimizer={file.stem}"] for file in (PROJECT / "conf" / "optimizer").glob("*.yaml")),
        *(complete_option("model", file.stem) for file in (PROJECT / "conf" / "model").glob("*.yaml")),
        ["trainer=debug"],
        ["experiment=demo"],
        [
            *("optimizer=adamw_cosine", "optimizer.schedule.kind=StepLR"),
            *("optimizer.schedule.options={step_size: 2}", "optimizer.schedule.interval=step"),
        ],
        ["model.loss.kind=focal", "model.loss.focal_gamma=3"],
        ["model.name=vit_tiny_patch16_224", "model.image_size=96"],
        ["model.name=resnet50", "model.image_size=100"],
        ["trainer.ema_decay=0", "trainer.swa_start=0.5", "optimizer=adamw_constant"],
        [*SWA, "optimizer=adamw_constant", "trainer.swa_start=0.89", "trainer.max_epochs=10"],
        *(
            [*SWA, "optimizer=adamw_cosine", f"{KIND}={kind}", f"optimizer.schedule.options={{{options}}}"]
            for kind, options in (
                ("StepLR", "step_size: 2"),
                ("CosineAnnealingWarmRestarts", "T_0: 2"),
                ("CosineAnnealingLR", "T_max: 3"),
                ("CosineAnnealingLR", "eta_min: 1"),
                ("CosineLRScheduler", "t_initial: 1000"),
                ("OneCycleLR", "div_factor: 2, final_div_factor: 2"),
                ("OneCycleLR", "total_steps: [20]"),
                ("ReduceLROnPlateau", "patience: 2"),
            )
        ),
    ],
)
def test_what_agrees_is_silent(overrides: list[str]) -> None:
    assert find_contradictions(load_overrides(overrides)) == []


def test_the_values_that_count_as_untouched_are_those_of_the_configuration() -> None:
    config = composed()
    assert (config.model.loss.focal_gamma, config.optimizer.schedule.final) == (2, 0.001)
    assert list(config.dataset.fractions) == [0.8, 0.1, 0.1]


def test_a_transformer_does_not_see_what_is_said_to_be_cut() -> None:
    network = timm.create_model("vit_tiny_patch16_224", img_size=100, num_classes=7).eval()
    image = torch.zeros(1, 3, 100, 100)
    changed = image.clone()
    changed[..., 96:, :] = changed[..., :, 96:] = 1
    with torch.no_grad():
        assert torch.equal(network.forward_features(image), network.forward_features(changed))
        changed[..., 95, 95] = 9
        assert not torch.equal(network.forward_features(image), network.forward_features(changed))
