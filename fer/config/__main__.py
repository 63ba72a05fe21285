"""`python -m fer.config schema` prints a JSON Schema, `… docs` the table of all keys, `… diff A B` what differs.

`… docs study` prints the keys of a study's file.
"""

import json
import sys
from pathlib import Path

from fer.config import Config
from fer.config.base import Section
from fer.config.diff import format_differences, read_saved_config
from fer.config.json_schema import NAMES, WHOLE, build_schema, write_schemas
from fer.config.key_docs import iter_keys
from fer.config.study import Study
from fer.core.installation import get_program_name
from fer.core.process import end_on_closed_pipe
from fer.core.visible import make_visible
from fer.errors import ConfigError, ExitCode

PROGRAM = "python -m fer.config"


def _format_docs(section: type[Section] = Config) -> str:
    """Return a Markdown table of every key."""
    rows = ["| key | allowed | meaning |", "| --- | --- | --- |"]
    for key in iter_keys(section):
        # Markdown would take <class> for a tag.
        cells = (f"`{key.name}`", key.allowed, key.description.replace("<", "&lt;"))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _print_diff(one: str, other: str) -> int:
    """Print the keys in which two saved configurations differ; 0 for none, 1 for some, 2 if one cannot be read."""
    try:
        lines = format_differences(read_saved_config(Path(one)), read_saved_config(Path(other)))
    except ConfigError as error:
        print(make_visible(f"{get_program_name(PROGRAM)}: {error}"), file=sys.stderr)
        return error.exit_code
    print(make_visible("".join(f"{line}\n" for line in lines)), end="")
    return 1 if lines else 0


def _print_schema(name: str) -> int:
    """Print one of the schemas."""
    if name not in NAMES:
        print(f"{get_program_name('fer.config')}: {name}: allowed are {', '.join(NAMES)}", file=sys.stderr)
        return ExitCode.CONFIG
    print(json.dumps(build_schema(name), indent=1))
    return ExitCode.OK


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    if arguments[:1] == ["schema"] and len(arguments) <= 2:
        return _print_schema(arguments[1] if len(arguments) == 2 else WHOLE)
    if len(arguments) == 2 and arguments[0] == "schemas":
        write_schemas(Path(arguments[1]))
    elif arguments == ["docs"]:
        print(_format_docs(), end="")
    elif arguments == ["docs", "study"]:
        print(_format_docs(Study), end="")
    elif len(arguments) == 3 and arguments[0] == "diff":
        return _print_diff(*arguments[1:])
    else:
        asked = arguments in (["-h"], ["--help"])
        usage = f"usage: {get_program_name(PROGRAM)} schema [NAME] | schemas DIR | docs [study] | diff A B"
        print(usage, file=sys.stdout if asked else sys.stderr)
        return ExitCode.OK if asked else ExitCode.CONFIG
    return ExitCode.OK


if __name__ == "__main__":
    with end_on_closed_pipe():
        sys.exit(main(sys.argv[1:]))
