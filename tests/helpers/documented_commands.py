"""The commands that the documentation shows, and whether they would be understood."""

import importlib.util
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import yaml
from omegaconf import open_dict

from fer.annotate.__main__ import expand_arguments as expand_faces
from fer.cli import COMMANDS
from fer.cloud.training import parse_job_spec
from fer.config import Program
from fer.config.compose import compose_config, load_config, load_overrides
from fer.export.__main__ import expand_arguments
from fer.sweep.search_space import split_overrides
from tests.helpers.paths import PROJECT

BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python|make|fer|torchrun|srun) [^`]+)`")
# Programs of others: that they exist is theirs.
OTHERS = {
    *(
        "aws",
        "curl",
        "docker",
        "gcloud",
        "install",
        "mlflow",
        "openssl",
        "pre-commit",
        "source",
        "tensorboard",
        "wandb",
    ),
}
# What a reader fills in. Where a key needs a path, one of this name is in the working directory.
FILLED_IN = {"ROLE_ARN": "arn:aws:iam::123456789012:role/fer", "BUCKET": "bucket", "ACCOUNT": "123456789012"}
DIRECTORIES = ("RUN", "SWEEP", "DIR", "MODEL", "FACES", "clips", "faces", "photos")
FILES = (
    "FILE",
    "FILE.png",
    "FILE.csv",
    "CLIP",
    "ferplus.zip",
    "rafdb.zip",
    "FERPLUS.zip",
    "groups.csv",
    "labels.csv",
    "clip.mp4",
    "study.yaml",
    "other.yaml",
    "drawn/study.yaml",
)
HYDRA_OPTIONS = {"-m": 0, "--multirun": 0, "--help": 0, "--cfg": 1, "--config-dir": 1, "--config-name": 1}
SCRIPTS: dict[str, Program] = {"train.py": "train", "infer.py": "infer", "register.py": "register"}
MODULES: dict[str, Program] = {"fer.cli.train": "train", "fer.cli.infer": "infer", "fer.cli.register": "register"}


def lay_out(place: Path) -> None:
    """What the commands name, in the directory where they are checked."""
    for name in DIRECTORIES:
        (place / name).mkdir()
    for name in FILES:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).touch()
    content = {"defaults": ["base", "_self_"], **load_overrides([]).dump()}
    (place / "RUN" / "study.yaml").touch()
    (place / "RUN" / "run.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def iter_commands(page: str) -> Iterator[str]:
    """Each line of the shell blocks of a Markdown page, and each command in its text, without what is left open."""
    for block in BLOCK.findall(page):
        yield from block.replace("\\\n", " ").splitlines()
    for command in INLINE.findall(BLOCK.sub("", page)):
        # In a table a pipe is escaped.
        yield command.replace("\\|", "|").partition(" …")[0]


@cache
def check_command(line: str) -> None:
    """Raises what is wrong with a command, typed in a directory that ``lay_out`` has filled."""
    words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    for name, value in FILLED_IN.items():
        words = [re.sub(rf"\b{name}\b", value, word) for word in words]
    if words:
        _check_program(words[0].removeprefix(".venv/bin/"), words[1:])


def _check_program(program: str, arguments: list[str]) -> None:
    """Raises what is wrong with it."""
    match program, arguments:
        case "make", [target]:
            assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target
        case "fer", [group] if any(name.startswith(f"{group} ") for name in COMMANDS):
            pass
        case "fer", _:
            name = next(name for name in (" ".join(arguments[:2]), arguments[0]) if name in COMMANDS)
            _check_module(COMMANDS[name][0], arguments[len(name.split()) :])
        case "python", ["-m", module, *rest]:
            _check_module(module, rest)
        case "python", [script, *rest]:
            assert (PROJECT / script).is_file(), script
            _check_overrides(SCRIPTS[script], rest)
        case "srun", ["python", *_]:
            _check_program("python", arguments[1:])
        case "torchrun", _:
            _check_program("python", arguments[arguments.index("train.py") :])
        case _:
            assert program in OTHERS, program


def _check_module(module: str, arguments: list[str]) -> None:
    if module in MODULES:
        _check_overrides(MODULES[module], arguments)
        return
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None
    if not arguments:
        return
    overrides = [word for word in arguments if "=" in word and not word.startswith("-")]
    match module:
        case "fer.export":
            _check_overrides("export", expand_arguments(arguments))
        case "fer.annotate":
            _check_overrides("annotate", expand_faces(arguments))
        case "fer.cloud.train":
            parse_job_spec(_find_run(arguments), overrides)
        case "fer.cloud.tune":
            parse_job_spec(_find_run(arguments), _choose_first(overrides))
        case "fer.cloud.extract":
            _check_overrides("infer", arguments)
        case "fer.cloud.pipeline" if "training" in arguments:
            parse_job_spec(_find_run(arguments), overrides)
        case "fer.cloud.policy" | "fer.cloud.infrastructure" | "fer.cloud.pipeline":
            load_overrides(["aws=sagemaker", *overrides], "infer")
        case _ if module.startswith(("fer.", "benchmarks.", "tools.")):
            main = Path(spec.origin).with_name("__main__.py") if spec.submodule_search_locations else Path(spec.origin)
            source = main.read_text(encoding="utf-8")
            for option in (word for word in arguments if word.startswith("--") and word != "--help"):
                assert f'"{option}"' in source, option


def _find_run(arguments: Sequence[str]) -> str | None:
    return next((word for word in arguments if word == "RUN"), None)


def _choose_first(overrides: Sequence[str]) -> list[str]:
    """The overrides of one job of a sweep."""
    space, fixed = split_overrides(overrides)
    choices = {key: found.choices[0] if found.choices else f"{found.low:g}" for key, found in space.items()}
    return [*fixed, *(f"{key}={value}" for key, value in choices.items())]


def _check_overrides(program: Program, arguments: list[str]) -> None:
    overrides, options = [], set()
    words = iter(arguments)
    for word in words:
        if word in HYDRA_OPTIONS:
            options.add(word)
            for _ in range(HYDRA_OPTIONS[word]):
                next(words)
        else:
            overrides.append(word)
    resumed = any(word.startswith("resume=") for word in overrides)
    if resumed or any(word.startswith("sweep.resume=") for word in overrides):
        overrides = [word for word in overrides if not word.startswith(("resume=", "sweep.resume="))]
        # What a run or sweep of train.py goes on with is its own configuration.
        assert program in ("infer", "annotate") or all(word.startswith("hydra") for word in overrides)
    if any(word.startswith("extraction.shares=") for word in overrides) and {"-m", "--multirun"} & options:
        # Each job does one of them.
        overrides.append("extraction.share=0")
    saved = Path("RUN") if "--config-dir" in options or resumed else None
    composed = compose_config(_choose_first(overrides), saved, with_hydra=True)
    with open_dict(composed):
        del composed["hydra"]
    load_config(composed, program)
