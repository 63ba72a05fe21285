"""What to do about a training's speed: rules over the figures of its profile, each with its threshold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fer.config import Config
from fer.reports.formats import NO_BREAK, percent
from fer.reports.profile import PHASES, Hint

MAX_HINTS = 2
SLOW_LOADING, SLOW_TRANSFER, SLOW_CHECKPOINTS = 0.2, 0.2, 0.15
SLOW_UPDATES, SLOW_VALIDATION, SLOW_FIRST_STEP, SLOW_NETWORK = 0.3, 0.4, 0.25, 0.5
IDLE_GPU, BUSY_GPU = 0.5, 0.8

# A hint, and the fraction of the time that it is about.
Finding = tuple[float, Hint]


@dataclass(frozen=True)
class ProfileFigures:
    """The figures that the rules are about.

    Attributes:
        seconds: Time of each of ``PHASES``.
        first_step: Seconds of the first step.
        device: ``cpu``, ``cuda`` or ``mps``.
        device_busy: Fraction of the traced steps in which a GPU computed; None where it is not known.
        threads: CPU threads of the training.
        cores: Cores that it may use.
    """

    seconds: Mapping[str, float]
    first_step: float
    device: str
    device_busy: float | None
    threads: int
    cores: int


def find_hints(config: Config, figures: ProfileFigures) -> list[Hint]:
    """Find what would make a training faster; at most MAX_HINTS, those about most of the time first.

    Args:
        config: The training's configuration.
        figures: What was measured.
    """
    total = sum(figures.seconds.values())
    fractions = {phase: own / total for phase, own in figures.seconds.items()}
    found = [
        *_find_in_data(config, figures, fractions),
        *_find_in_validation_and_files(config, fractions),
        *_find_in_updates(config, fractions),
        *_find_in_network(config, figures, fractions, figures.first_step / total),
    ]
    return [hint for _, hint in sorted(found, key=lambda pair: -pair[0])][:MAX_HINTS]


def _format_limit(fraction: float) -> str:
    return f"{100 * fraction:.0f}{NO_BREAK}%"


def _describe_phase(phase: str, fraction: float, limit: float) -> tuple[str, str]:
    """What was found about a phase, and the rule."""
    return f"{PHASES[phase]}: {percent(fraction)} of the time.", f"above {_format_limit(limit)}"


def _find_in_data(config: Config, figures: ProfileFigures, fractions: Mapping[str, float]) -> Iterator[Finding]:
    on_device = figures.device != "cpu"
    resident = "`trainer.resident=true` keeps all images on the device as bytes, so that no batch is read and copied."
    if (fraction := fractions["loading"]) > SLOW_LOADING and not (on_device and config.trainer.resident):
        local_disk = (
            "Batches are read from the decoded images in `dataset.cache_dir`: put it on a local disk, and leave memory "
            "free for them."
        )
        finding, rule = _describe_phase("loading", fraction, SLOW_LOADING)
        yield fraction, Hint(finding, resident if on_device else local_disk, rule)
    if (fraction := fractions["transfer"]) > SLOW_TRANSFER:
        finding, rule = _describe_phase("transfer", fraction, SLOW_TRANSFER)
        if on_device and not config.trainer.resident:
            yield fraction, Hint(finding, resident, rule)
        elif not on_device:
            remedy = (
                "The same cores augment and train. A value of 0 for contrast, saturation, brightness, erase, mixup and "
                "cutmix in `dataset.augment` spares that change; it may cost accuracy."
            )
            yield fraction, Hint(finding, remedy, rule)


def _find_in_validation_and_files(config: Config, fractions: Mapping[str, float]) -> Iterator[Finding]:
    validations = config.trainer.validations
    if (fraction := fractions["checkpoints"]) > SLOW_CHECKPOINTS:
        finding, rule = _describe_phase("checkpoints", fraction, SLOW_CHECKPOINTS)
        remedy = (
            "Each epoch writes one, and each better validation: put the run on a fast disk (`hydra.run.dir`)"
            f"{f', or validate less often (`trainer.validations={validations}`)' if validations > 1 else ''}."
        )
        yield fraction, Hint(finding, remedy, rule)
    fraction = fractions["validation"]
    if fraction <= SLOW_VALIDATION:
        return
    finding, rule = _describe_phase("validation", fraction, SLOW_VALIDATION)
    if validations > 1:
        remedy = f"Validate less often: an epoch has {validations} validations (`trainer.validations`)."
        yield fraction, Hint(finding, remedy, f"{rule} with `trainer.validations={validations}`")
    elif config.dataset.split != "official":
        remedy = "Every epoch validates the whole split: give it fewer images (`dataset.fractions`)."
        yield fraction, Hint(finding, remedy, f"{rule} with `dataset.split={config.dataset.split}`")


def _find_in_updates(config: Config, fractions: Mapping[str, float]) -> Iterator[Finding]:
    fraction = fractions["optimizer"] + fractions["moving_average"]
    if fraction > SLOW_UPDATES:
        yield (
            fraction,
            Hint(
                f"Optimizer and moving average: {percent(fraction)} of the time.",
                "They cost the same for a batch of any size: raise `dataset.batch_size` "
                f"({config.dataset.batch_size}), and choose `optimizer.lr` anew.",
                f"together above {_format_limit(SLOW_UPDATES)}",
            ),
        )


def _find_in_network(
    config: Config, figures: ProfileFigures, fractions: Mapping[str, float], first_step: float
) -> Iterator[Finding]:
    network = fractions["forward"] + fractions["backward"]
    if config.trainer.compile and first_step > SLOW_FIRST_STEP:
        yield (
            first_step,
            Hint(
                f"The first step, which compiles the network, took {percent(first_step)} of the time.",
                "Compiling pays on long trainings; use `trainer.compile=false` for short ones.",
                f"first step above {_format_limit(SLOW_FIRST_STEP)} with `trainer.compile=true`",
            ),
        )
    elif figures.device == "cuda" and figures.device_busy is not None:
        yield from ((network, hint) for hint in _iter_gpu_hints(config, figures.device_busy))
    elif figures.device == "cpu" and network > SLOW_NETWORK:
        yield from ((network, hint) for hint in _iter_cpu_hints(config, figures, network))


def _iter_gpu_hints(config: Config, busy: float) -> Iterator[Hint]:
    trainer, finding = config.trainer, f"The GPU computed in {percent(busy)} of the traced steps."
    if busy < IDLE_GPU:
        compiled = ", or use `trainer.compile=true` for long trainings"
        yield Hint(
            finding,
            f"It waits for the program that launches its work: raise `dataset.batch_size` ({config.dataset.batch_size})"
            f"{'' if trainer.compile or trainer.world_size > 1 else compiled}.",
            f"below {_format_limit(IDLE_GPU)}",
        )
    elif busy > BUSY_GPU and trainer.precision in ("32", "64"):
        yield Hint(
            finding,
            f"Use `trainer.precision=bf16` or `16` instead of {trainer.precision}.",
            f"above {_format_limit(BUSY_GPU)} with `trainer.precision={trainer.precision}`",
        )


def _iter_cpu_hints(config: Config, figures: ProfileFigures, network: float) -> Iterator[Hint]:
    trainer, size = config.trainer, config.model.image_size
    finding = f"Forward and backward: {percent(network)} of the time."
    rule = f"together above {_format_limit(SLOW_NETWORK)} on a CPU"
    if trainer.world_size == 1 and figures.threads < figures.cores:
        yield Hint(
            f"{finding} They used {figures.threads} of {figures.cores} cores.",
            "Use `trainer.threads=null`; results then differ in their last digits.",
            f"{rule}, with fewer threads than cores",
        )
    # What each is worth was measured with mobilenetv2_100 on two cores, batches of 64 images of 96 pixels.
    if not trainer.channels_last:
        yield Hint(
            finding,
            "`trainer.channels_last=true` trained mobilenetv2_100 about 1.4 times as fast.",
            f"{rule}, with `trainer.channels_last=false`",
        )
    if trainer.precision == "32":
        yield Hint(
            finding,
            "`trainer.precision=bf16` trained mobilenetv2_100 about 1.2 times as fast on a processor with bfloat16 "
            "(AVX-512 BF16, AMX); others are slower with it.",
            f"{rule}, with `trainer.precision=32`",
        )
    yield Hint(
        finding,
        f"It grows with the pixels: a smaller `model.image_size` ({size}) is faster, and may cost accuracy.",
        rule,
    )
