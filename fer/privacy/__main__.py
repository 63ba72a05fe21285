"""`python -m fer.privacy COMMAND …`: protect the people recorded; each command tells its options with --help.

blur CLIP: a copy of a video or image in which no face is recognised
forget RUN RESPONDENT: delete everything about a respondent from a run
expired DIR: runs past the date of their deletion
"""

import argparse
import importlib
import sys

from fer.core.installation import format_documentation, get_program_name

COMMANDS = ("blur", "forget", "expired")


def main() -> int:
    """Run the command that the command line names; what follows its name is the command's own."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.privacy"),
        usage="%(prog)s COMMAND …",
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    command = parser.parse_args(sys.argv[1:2]).command
    sys.argv[1:] = sys.argv[2:]
    return int(importlib.import_module(f"fer.privacy.{command}").main())


if __name__ == "__main__":
    sys.exit(main())
