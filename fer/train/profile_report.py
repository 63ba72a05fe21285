"""The page and the trace of a profiled training, gathered from the run."""

import logging
import resource
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch

from fer.config import Config
from fer.core.run_layout import PROFILE_HTML, PROFILE_TRACE_JSON
from fer.core.system import resolve_thread_count
from fer.reports.formats import count
from fer.reports.profile import PHASES, ProfileReport, write_profile_page
from fer.runs.run_directory import read_provenance
from fer.train.profile_hints import ProfileFigures, find_hints
from fer.train.profiling import PROFILING, TrainingProfiler

log = logging.getLogger(__name__)


def attach_profiler(trainer: pl.Trainer, config: Config, device: str) -> TrainingProfiler | None:
    """Let a profiler measure a training that is about to begin.

    Args:
        trainer: The trainer, which gets it.
        config: The run's configuration.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The profiler; None unless the configuration asks for one, and on other ranks than 0.
    """
    if not config.trainer.profile or not trainer.is_global_zero:
        return None
    profiler = TrainingProfiler(trainer, device)
    trainer.profiler = profiler  # type: ignore[attr-defined]
    return profiler


def write_profile(profiler: TrainingProfiler, config: Config, directory: Path) -> None:
    """Write the page and the trace of a training that has ended; a sentence in the log where nothing was measured.

    Args:
        profiler: What was measured.
        config: The run's configuration.
        directory: The run directory.
    """
    profiler.finish()
    if not profiler.step_seconds:
        log.warning("The training ended before its first batch, so no %s was written", PROFILE_HTML)
        return
    environment = _describe_environment(profiler, config, directory)
    summary = profiler.trace.summarize() if profiler.trace.recorded else None
    if summary:
        profiler.trace.write(directory / PROFILE_TRACE_JSON)
    else:
        # Of an earlier part of a resumed run.
        (directory / PROFILE_TRACE_JSON).unlink(missing_ok=True)
    seconds = {phase: profiler.seconds[phase] for phase in PHASES}
    busy = summary.device_busy if summary else None
    figures = ProfileFigures(
        seconds=seconds,
        first_step=profiler.step_seconds[0],
        device=profiler.device,
        device_busy=busy,
        threads=torch.get_num_threads(),
        cores=resolve_thread_count(None),
    )
    report = ProfileReport(
        title=config.name,
        interrupted=profiler.trainer.interrupted,
        epochs=(profiler.first_epoch, profiler.last_epoch),
        seconds=seconds,
        calls=profiler.calls,
        profiling_seconds=profiler.seconds[PROFILING],
        images=profiler.images,
        step_seconds=profiler.step_seconds,
        traced=(profiler.traced[0], profiler.traced[-1]) if summary else None,
        traced_seconds=summary.seconds if summary else 0.0,
        trace_file=PROFILE_TRACE_JSON,
        operators=summary.operators if summary else [],
        device=profiler.device,
        device_busy=busy,
        processes=config.trainer.world_size,
        hints=find_hints(config, figures),
        environment=environment,
    )
    write_profile_page(report, directory / PROFILE_HTML)


def _describe_environment(profiler: TrainingProfiler, config: Config, directory: Path) -> dict[str, str]:
    """What the speed depends on."""
    provenance, trainer = read_provenance(directory), config.trainer
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    memory = {"Peak memory of the process": f"{count(peak)} MiB"}
    if profiler.device == "cuda":
        memory["Peak memory of tensors on the GPU"] = f"{count(torch.cuda.max_memory_allocated() >> 20)} MiB"
    packages = provenance["packages"]
    return {
        "Device": str(provenance["device"]),
        "Processor": str(provenance["processor"]),
        "CPU threads": str(torch.get_num_threads()),
        "Processes": str(trainer.world_size),
        "Network": f"{config.model.name}, {config.model.image_size} pixels",
        "Batch size": str(config.dataset.batch_size),
        "Precision": trainer.precision,
        "Channels last, compiled, resident": ", ".join(
            "yes" if value else "no" for value in (trainer.channels_last, trainer.compile, trainer.resident)
        ),
        **memory,
        "Python": str(provenance["python"]),
        "PyTorch": str(packages["torch"]),
        "PyTorch Lightning": str(packages["pytorch-lightning"]),
        "timm": str(packages["timm"]),
        "fer": str(provenance["fer_version"]),
        "Git commit": str(provenance["git_commit"]),
    }
