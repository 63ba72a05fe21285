"""`python -m fer.app`: a dashboard in the browser, to analyse clips and to look at runs, comparisons, studies, models.

It listens on this machine alone and asks nobody who they are: where others are to reach it, put a proxy with a login
before it.
"""

import argparse
import logging
import sys
from pathlib import Path

from fer.app.settings import Settings
from fer.core.extras import require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.core.visible import log_visibly, make_visible
from fer.errors import UserError
from fer.runs.run_directory import OUTPUTS

PROGRAM = "python -m fer.app"


def main() -> int:
    """Serve the dashboard until a signal ends it; returns the exit code."""
    args = _parse_args()
    log_visibly()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = check_settings(args)
        require_packages("streamlit")
        from fer.app.server import serve

        serve(settings, args.host, args.port, args.public_host)
    except UserError as error:
        print(make_visible(f"{get_program_name(PROGRAM)}: {error}"), file=sys.stderr)
        return error.exit_code
    return 0


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=get_program_name(PROGRAM), description=format_documentation(__doc__))
    parser.add_argument(
        "--outputs",
        type=Path,
        default=Path(OUTPUTS),
        metavar="DIR",
        help="directory of runs to show; outputs unless given",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every one")
    parser.add_argument(
        "--public-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which visitors come through a proxy, such as fer.example.org; may be given several times",
    )
    parser.add_argument("--port", type=int, default=8501, help="8501 unless given; 0 takes one that is free")
    parser.add_argument(
        "--max-upload-mb", type=int, default=500, metavar="MB", help="limit of a visitor's files, 500 unless given"
    )
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="runs at a time, 2 unless given; further ones wait"
    )
    return parser.parse_args()


def check_settings(args: argparse.Namespace) -> Settings:
    """Return the settings of a command line. Raises UserError for a number that makes no sense."""
    for name, most in (("max_upload_mb", 10_000), ("jobs", 64)):
        value = getattr(args, name)
        if not 1 <= value <= most:
            option = name.replace("_", "-")
            raise UserError(f"--{option} {value}: choose a number from 1 to {most:,}")
    if args.outputs.exists() and not args.outputs.is_dir():
        raise UserError(f"--outputs {args.outputs}: is a file, not a directory of runs; name another")
    return Settings(args.outputs.absolute(), args.max_upload_mb, args.jobs)


if __name__ == "__main__":
    sys.exit(main())
