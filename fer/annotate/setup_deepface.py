"""Make the environment in which DeepFace runs, with TensorFlow, apart from this program's.

python -m fer.annotate.setup_deepface DIR
    about 2.5 GB in DIR; the networks' weights are downloaded by DeepFace itself when it first starts
"""

import argparse
import logging
import subprocess
import sys
from pathlib import Path

from fer.core.installation import format_command, format_documentation, get_program_name
from fer.errors import UserError
from fer.runs.program import user_errors_to_exit_code

# With which fer/annotate/deepface_worker.py was tried. DeepFace imports werkzeug without saying that it needs it.
PACKAGES = ("deepface==0.0.103", "tensorflow==2.21.0", "tf-keras==2.21.0", "werkzeug==3.1.9")
log = logging.getLogger(__name__)


def set_up_deepface(directory: Path) -> None:
    """Make a virtual environment with DeepFace.

    Args:
        directory: The environment, new or begun.

    Raises:
        UserError: It cannot be made; what is there stays, and the same command goes on.
    """
    if directory.exists() and any(directory.iterdir()) and not (directory / "pyvenv.cfg").is_file():
        raise UserError(f"{directory}: holds something else than an environment of Python; name a new directory")
    python = directory / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(directory)],
        [str(python), "-m", "pip", "install", *PACKAGES],
        [str(python), "-c", "from deepface import DeepFace"],
    ):
        if subprocess.run(command, check=False).returncode:
            raise UserError(
                f"{directory}: DeepFace could not be installed (see above); `{' '.join(command)}` has failed. Correct "
                "that and give the same command again"
            )
    log.info("Label with it: %s FACES by=deepface deepface.environment=%s", format_command("fer.annotate"), directory)


def main() -> None:
    """Make the environment of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.annotate.setup_deepface"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to make it")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        set_up_deepface(arguments.directory)


if __name__ == "__main__":
    main()
