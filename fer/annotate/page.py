"""Write the page on which a person confirms or corrects the doubtful labels of a run.

python -m fer.annotate.page RUN
    RUN/corrections.html: the 300 most doubtful faces, disagreements first; it saves corrections.csv
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

import pandas as pd

from fer.annotate.corrections import LEAVE_OUT, read_saved_corrections
from fer.annotate.faces import FaceFiles
from fer.annotate.labels import join_labels
from fer.annotate.results import choose_title
from fer.annotate.run import AnnotationRun, open_run
from fer.core.installation import format_command, format_documentation, get_program_name
from fer.core.run_layout import CORRECTIONS_CSV, CORRECTIONS_HTML
from fer.emotions import list_emotions
from fer.errors import DataError
from fer.reports.corrections import CorrectionsPage, DoubtfulFace, write_corrections_page
from fer.runs.program import user_errors_to_exit_code

# With their pictures, a page of about two megabytes.
SHOWN = 300
MAX_SHOWN = 2000
# Labels that all annotators give are in doubt below this mean probability.
DOUBTED_CONFIDENCE = 0.6
log = logging.getLogger(__name__)


def write_page(run: AnnotationRun, shown: int = SHOWN) -> Path:
    """Write the page of a run's doubtful faces.

    Args:
        run: The run.
        shown: How many faces it shows at most. Those that people have looked at are left out, so that the page of a
            run into which its answers were merged shows the next ones.

    Returns:
        The page.
    """
    joined = join_labels(run.labels, run.faces.table["path"].tolist())
    looked_at = set(read_saved_corrections(run.directory)["image"])
    doubtful = find_doubtful(joined[~joined["path"].isin(looked_at)])
    said = {
        str(image): rows
        for image, rows in run.labels[run.labels["image"].isin(set(doubtful["path"].head(shown)))].groupby("image")
    }
    page = CorrectionsPage(
        title=choose_title(run.config),
        faces=[
            _build_face(path, label, said[path], run.faces)
            for path, label in doubtful[["path", "label"]].head(shown).itertuples(index=False)
        ],
        doubtful=len(doubtful),
        total=len(joined),
        emotions=list_emotions(joined.columns),
        leave_out=LEAVE_OUT,
        csv=CORRECTIONS_CSV,
        command=f"{format_command('fer.annotate.merge')} RUN {CORRECTIONS_CSV}",
        key=str(run.directory.resolve()),
    )
    write_corrections_page(page, run.directory / CORRECTIONS_HTML)
    return run.directory / CORRECTIONS_HTML


def find_doubtful(joined: pd.DataFrame) -> pd.DataFrame:
    """Find the faces whose labels are in doubt.

    Args:
        joined: Rows of ``join_labels``.

    Returns:
        Those without a label, then those on which annotators disagree, then those of a low probability; the least
        agreed and the least probable first.
    """
    none, disagreed = joined["label"] == "", joined["labels"] > 1
    kind = 2 - 2 * none.astype(int) - (disagreed & ~none).astype(int)
    doubtful = joined.assign(kind=kind)[none | disagreed | (joined["confidence"] < DOUBTED_CONFIDENCE)]
    return doubtful.sort_values(["kind", "agreement", "confidence", "path"], kind="stable")


def _build_face(path: str, label: str, said: pd.DataFrame, faces: FaceFiles) -> DoubtfulFace:
    try:
        picture = faces.read(path)
    except DataError:
        picture = None
    rows = said[["annotator", "label", "confidence"]].itertuples(index=False)
    return DoubtfulFace(path, picture, label, [(str(name), str(given), sure) for name, given, sure in rows])


def _parse_count(text: str) -> int:
    """Parse a number of faces; argparse puts the option before the message."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_SHOWN:
        raise argparse.ArgumentTypeError(f"{text}: choose a number from 1 to {MAX_SHOWN}")
    return int(text)


def main() -> None:
    """Write the page of the run of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.annotate.page"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run of fer annotate")
    parser.add_argument(
        "--faces",
        type=_parse_count,
        default=SHOWN,
        metavar="N",
        help=f"faces on the page, at most {MAX_SHOWN}; {SHOWN} unless given",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        log.info("Page: %s", write_page(open_run(arguments.run), arguments.faces))
        command = format_command("fer.annotate.merge")
        log.info("Then take what it saves: %s %s %s", command, shlex.quote(str(arguments.run)), CORRECTIONS_CSV)


if __name__ == "__main__":
    main()
