"""Where this code lies, a checkout or an installed package, and how its programs are started from there."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parents[1]
# The directory that holds the package: a checkout, or site-packages.
PROJECT_ROOT = PACKAGE_DIR.parent
# The wheel holds conf/ inside the package, where a checkout has it beside the package.
INSTALLED = (PACKAGE_DIR / "conf").is_dir()
CONF = (PACKAGE_DIR if INSTALLED else PROJECT_ROOT) / "conf"
SCHEMAS = CONF.with_name("schemas")

# Commands of `fer` that are called otherwise than their module.
_RENAMED = {
    "serving": "serve",
    "train.review_labels": "labels",
    "annotate.setup_deepface": "annotate setup-deepface",
}
_TYPED_PROGRAM = re.compile(r"python (?:-m )?((?:train|infer|register)\.py|fer(?:\.\w+)+)")
_program_name: str | None = None


def set_program_name(name: str) -> None:
    """Remember what a user has typed to start this process's program, such as ``fer train``."""
    global _program_name
    _program_name = name


def get_program_name(default: str | None = None) -> str:
    """What a user has typed to start this process's program, ``default`` where it was not the command `fer`."""
    if _program_name is not None or default is not None:
        return _program_name or str(default)
    name, spec = Path(sys.argv[0]).name, sys.modules["__main__"].__spec__
    module = spec.name.removesuffix(".__main__") if spec is not None else ""
    # fer.cli.train is what train.py does, and goes by its name.
    is_module = name == "__main__.py" or (module.startswith("fer.") and not module.startswith("fer.cli."))
    return f"python -m {module}" if module and is_module else name


def format_command(program: str) -> str:
    """How a user starts a script or a module of this project: by the command `fer`, where it is there.

    Args:
        program: A script or a module, such as ``train.py`` or ``fer.cloud.train``.
    """
    if INSTALLED or _program_name is not None:
        name = program.removesuffix(".py").removeprefix("fer.").removeprefix("cli.")
        return f"fer {_RENAMED.get(name, name).replace('.', ' ')}"
    return f"python {program}" if program.endswith(".py") else f"python -m {program}"


def format_resume_command(program: str, run: Path) -> str:
    """How a user goes on with a run in its own directory, ready to paste.

    Args:
        program: As for `format_command`.
        run: The run directory.
    """
    return f"{format_command(program)} {shlex.quote(f'resume={run}')}"


def format_documentation(text: str | None) -> str:
    """Return a docstring that ``--help`` shows, with its commands as a user starts them here."""
    return _TYPED_PROGRAM.sub(lambda match: format_command(match[1]), text or "")


def build_train_command(project: Path = PROJECT_ROOT) -> list[str]:
    """What stands behind `python` to start a training; ``project`` is the directory of the code."""
    # -P: nothing is imported from the current directory.
    return ["-P", "-m", "fer.cli.train"] if INSTALLED else [str(project / "train.py")]


def with_project_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which `python -m fer.…` finds this code, whatever the current directory is."""
    if INSTALLED:
        return dict(environment)
    paths = [str(PROJECT_ROOT), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def get_version() -> str:
    """The version of this code, without an import of the package's root, which stands above all rooms."""
    return str(sys.modules["fer"].__version__)


def describe_name_clash() -> str | None:
    """What is wrong where the other project that calls its package ``fer`` was installed over this one."""
    # Its files and ours share one directory then. Ours are listed by fer_experiments-….dist-info.
    if not any(PROJECT_ROOT.glob("fer-*.dist-info")):
        return None
    return (
        "this environment also holds the distribution `fer`, another project whose files overwrite those of "
        "fer-experiments; run `pip uninstall fer fer-experiments`, then install fer-experiments alone"
    )
