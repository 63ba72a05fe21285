"""A visitor's clips analysed: infer.py as a process of its own, and what it says at its end."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer.app.jobs import Job, JobQueue, JobState
from fer.app.settings import Settings
from fer.app.uploads import Upload
from fer.config.quoting import quote_literally
from fer.core.installation import with_project_path
from fer.core.places import hide_places
from fer.core.progress import INTERVAL_ENV
from fer.core.run_layout import REPORT_HTML
from fer.errors import ExitCode
from fer.sweep.resources import compute_threads_per_job

PROGRAM = "fer.cli.infer"
# What the page offers: label, and the value of the configuration.
DETECTORS = {
    "YuNet if it can be had, otherwise Haar": "auto",
    "YuNet: turned and partly hidden faces, too": "yunet",
    "Haar: frontal faces": "haar",
    "None: the pictures are cropped to the face": "none",
}
FRAMES = {
    "As usual: 1 a second, or what a model of clips looks at": None,
    **{f"{fps:g} a second": fps for fps in (0.5, 1, 2, 5, 10, 25)},
}
FACES = {"The largest face of a frame": "largest", "All faces": "all"}
# How infer.py names itself where it explains why it does not go on.
_ERROR = re.compile(r"(?:infer\.py|fer infer): (?P<message>.+)")
_HINT = re.compile(r"`.+` lists every key, ")
EXCLUDED = "Excluded: "


@dataclass(frozen=True)
class Choices:
    """What a visitor has chosen.

    Attributes:
        model_uri: The model, as ``model_uri`` names it.
        detector: A value of DETECTORS.
        fps: A value of FRAMES.
        faces: A value of FACES.
    """

    model_uri: str
    detector: str = "auto"
    fps: float | None = None
    faces: str = "largest"


@dataclass(frozen=True, eq=False)
class Analysis:
    """A run of infer.py on a visitor's files.

    Attributes:
        job: Its process.
        run: Its run directory, in the visitor's own directory.
    """

    job: Job
    run: Path

    @property
    def report(self) -> Path:
        """Where its page is once it is made."""
        return self.run / REPORT_HTML


@dataclass(frozen=True)
class Outcome:
    """How an analysis has ended, in sentences.

    Attributes:
        problem: Why there is no result, or none of use; None where there is one.
        remarks: What else is to be known, such as files that were left out.
    """

    problem: str | None
    remarks: tuple[str, ...] = ()


def start_analysis(
    settings: Settings, queue: JobQueue, run: Path, uploads: Sequence[Upload], choices: Choices
) -> Analysis:
    """Put a run of infer.py into the queue.

    Args:
        settings: Those of the dashboard.
        queue: Where it waits for its turn.
        run: The new run directory.
        uploads: The files to look at.
        choices: Model and options.
    """
    command = [sys.executable, "-P", "-m", PROGRAM, *build_overrides(settings, run, uploads, choices)]
    return Analysis(queue.submit(Job(command, build_environment(os.environ))), run)


def build_overrides(settings: Settings, run: Path, uploads: Sequence[Upload], choices: Choices) -> list[str]:
    """The overrides of infer.py for what a visitor wants, each an argument of its own."""
    inputs = ",".join(quote_literally(str(upload.path)) for upload in uploads)
    return [
        f"hydra.run.dir={quote_literally(str(run))}",
        f"extraction.input=[{inputs}]",
        f"model_uri={quote_literally(choices.model_uri)}",
        f"extraction={choices.detector}",
        f"extraction.faces={choices.faces}",
        *([] if choices.fps is None else [f"extraction.fps={choices.fps:g}"]),
        f"extraction.cache_dir={quote_literally(str(settings.cache / 'detectors'))}",
        f"registry.store={quote_literally(str(settings.registry))}",
        f"trainer.threads={compute_threads_per_job(settings.jobs)}",
    ]


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that the dashboard starts: it finds this code, and often says how far it is."""
    return {**with_project_path(environment), INTERVAL_ENV: "0.5"}


def describe_outcome(analysis: Analysis, names: Mapping[str, str]) -> Outcome:
    """Say how an analysis that is over has ended.

    Args:
        analysis: The analysis.
        names: What the visitor calls the files, by the names that they have in the run.
    """
    job = analysis.job
    if job.state is JobState.CANCELLED:
        return Outcome("Cancelled.")
    excluded = [line.removeprefix(EXCLUDED) for line in job.lines if line.startswith(EXCLUDED)]
    excluded = [_name_files(line, names) for line in excluded]
    if job.code in (ExitCode.OK, ExitCode.PARTIAL, ExitCode.DRIFT):
        return Outcome(None, tuple(f"Left out: {line}" for line in excluded))
    if job.code is not None and job.code < 0:
        return Outcome(
            f"The run was ended from outside (signal {-job.code}), perhaps for lack of memory; try a shorter clip or "
            "fewer frames a second."
        )
    if analysis.report.is_file():
        return Outcome(f"No face could be used: {'; '.join(excluded) or 'none was found in any frame'}.")
    return Outcome(_name_files(hide_places(_find_error(job.lines)), names))


def _find_error(lines: Sequence[str]) -> str:
    """The sentence of a failed run, or its last line where it has none."""
    matches = [match["message"] for line in lines if (match := _ERROR.fullmatch(line))]
    messages = [message for message in matches if not _HINT.match(message)]
    return " ".join(messages) or next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _name_files(text: str, names: Mapping[str, str]) -> str:
    """A sentence with the visitor's own names of the files."""
    pattern = "|".join(re.escape(stored) for stored in names)
    return re.sub(rf"(?:…/)?\b({pattern})(?!\w)", lambda match: names[match[1]], text) if names else text
