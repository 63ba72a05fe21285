"""The command `fer`: every program of the project by its name."""

import runpy
import sys
from collections.abc import Iterable
from difflib import get_close_matches

from fer.core.installation import describe_name_clash, set_program_name
from fer.core.process import end_on_closed_pipe
from fer.core.visible import make_visible
from fer.errors import ExitCode

DISTRIBUTION = "fer-experiments"
# Command: the module that `python -m` would run, and what it does. It is imported when it is called.
COMMANDS = {
    "train": ("fer.cli.train", "train a classifier of facial expressions and evaluate it; many at once with -m"),
    "infer": ("fer.cli.infer", "classify the faces in videos and images"),
    "register": ("fer.cli.register", "package a trained model, check it, keep it as a version"),
    "replay": ("fer.replay", "run a training again and compare every figure"),
    "compare": ("fer.compare", "runs and sweeps side by side"),
    "labels": ("fer.train.review_labels", "labels that are probably wrong, by runs that did not train on them"),
    "config": ("fer.config", "every key of the configuration, its JSON Schema, what differs between two"),
    "study": ("fer.study", "write a first study.yaml from a folder of recordings"),
    "explain": ("fer.explain", "what a model looked at in a face"),
    "export": ("fer.export", "a model as a file of ONNX, PyTorch or OpenVINO, checked against itself"),
    "serve": ("fer.serving", "a model behind HTTP"),
    "app": ("fer.app", "a dashboard in the browser: analyse clips, look at runs, studies and models"),
    "privacy blur": ("fer.privacy.blur", "a copy of a video or image in which no face is recognised"),
    "privacy forget": ("fer.privacy.forget", "delete everything about a respondent from a run"),
    "privacy expired": ("fer.privacy.expired", "runs past the date of their deletion"),
    "synthetic": ("fer.synthetic", "a sheet of drawn faces"),
    "synthetic study": ("fer.synthetic.study", "a drawn study with known reactions, to try an analysis on"),
    "cloud train": ("fer.cloud.train", "train in SageMaker"),
    "cloud tune": ("fer.cloud.tune", "search hyper-parameters in SageMaker"),
    "cloud extract": ("fer.cloud.extract", "extract the faces of many videos in SageMaker"),
    "cloud policy": ("fer.cloud.policy", "the least rights that SageMaker needs"),
    "cloud infrastructure": ("fer.cloud.infrastructure", "bucket, role, repositories, logs, alarms as a template"),
    "cloud pipeline": ("fer.cloud.pipeline", "extract, transform, monitor or train, evaluate, register as a pipeline"),
}


def main() -> int:
    """Run the program that the command line names, as if `python -m` had started it; what it exits with is passed on.

    Returns:
        The exit code where no program was run.
    """
    with end_on_closed_pipe():
        return _run(sys.argv[1:])


def _run(arguments: list[str]) -> int:
    if clash := describe_name_clash():
        return _refuse(clash, ExitCode.ERROR)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_format_help(COMMANDS))
        return ExitCode.OK
    if arguments == ["--version"]:
        from fer import __version__

        print(DISTRIBUTION, __version__)
        return ExitCode.OK
    name = next((name for name in (" ".join(arguments[:2]), arguments[0]) if name in COMMANDS), None)
    if name is None:
        return _handle_unknown(arguments)
    set_program_name(f"fer {name}")
    sys.argv[1:] = arguments[len(name.split()) :]
    # As `python -m` does it: provenance.json, and several processes of one training, read from __main__ what runs.
    runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)
    return ExitCode.OK


def _format_help(names: Iterable[str]) -> str:
    lines = ["usage: fer COMMAND …", ""]
    lines += [f"  {name:22}{COMMANDS[name][1]}" for name in names]
    return "\n".join([*lines, "", "fer COMMAND --help says what a command takes; fer --version which version this is."])


def _handle_unknown(arguments: list[str]) -> int:
    """Show the commands of a group such as `fer cloud`; otherwise name the nearest command."""
    group = [name for name in COMMANDS if name.startswith(f"{arguments[0]} ")]
    prefix = f"{arguments[0]} " if group else ""
    if group and (len(arguments) == 1 or arguments[1] in ("-h", "--help")):
        print(_format_help(group))
        return ExitCode.OK
    typed = arguments[1 if group else 0]
    near = get_close_matches(typed, [name.removeprefix(prefix) for name in group or COMMANDS], n=1)
    suggestion = f"; did you mean fer {prefix}{near[0]}?" if near else ""
    return _refuse(f"{prefix}{typed}: there is no such command{suggestion}\n`fer --help` lists them", ExitCode.CONFIG)


def _refuse(message: str, code: ExitCode) -> int:
    print("\n".join(f"fer: {line}" for line in make_visible(message).splitlines()), file=sys.stderr)
    return code
