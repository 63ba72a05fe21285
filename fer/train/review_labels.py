"""`python -m fer.train.review_labels RUN…`: doubtful labels of the images that these runs did not train on.

One run examines its validation and test images. To examine training images too, train several times on other parts of
the same data (dataset.split=stratified and another seed) and name all of the runs: what they say of an image is
averaged over those that did not train on it.
"""

import argparse
import logging
import sys
from pathlib import Path

import pandas as pd

from fer.core.documents import read_json_object
from fer.core.extras import require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.core.parquet import read_parquet
from fer.core.run_layout import MANIFEST_PARQUET, PROVENANCE_JSON, format_predictions_name
from fer.errors import DataError, UserError
from fer.runs.program import user_errors_to_exit_code
from fer.runs.provenance import get_timestamp
from fer.runs.run_directory import create_unique_directory, load_run_config
from fer.train.inputs import prepare_data
from fer.train.label_issues import write_label_issues

log = logging.getLogger(__name__)


def review_labels(runs: list[Path], out: Path | None) -> dict[str, int]:
    """Write label_issues.csv and label_issues.html of runs on the same data.

    Args:
        runs: Their directories.
        out: Where to write; outputs/labels/DATE/TIME where None.

    Returns:
        How many images were examined, and how many are listed, as ``write_label_issues``.

    Raises:
        UserError: A run is of other data or classes, or has no predictions.

    Examples:
        >>> review_labels([Path("outputs/sweeps/folds/0"), Path("outputs/sweeps/folds/1")], out=None)
    """
    require_packages("cleanlab", purpose="reviewing labels")
    predictions = [_read_predictions(run) for run in runs]
    if len({_read_fingerprint(run) for run in runs}) > 1:
        raise UserError(
            "the runs are of different data, so their predictions cannot be joined; name runs of one data set"
        )
    config = load_run_config(runs[0])
    data = prepare_data(config, config.model.image_size)
    known = set(data.manifest.samples["sample_id"])
    # The sheet shows pictures and duplicates of the first run's data.
    unknown = set(pd.concat(predictions)["sample_id"]) - known
    predictions = [table[table["sample_id"].isin(known)] for table in predictions]
    directory = out or Path(create_unique_directory(_name_output_directory()))
    directory.mkdir(parents=True, exist_ok=True)
    counts = write_label_issues(predictions, data, directory, config.name)
    if unknown:
        log.info("Not examined, since %s leaves them out, whose data are shown: %d images", runs[0], len(unknown))
    if missing := len(known) - counts["examined"]:
        log.info("Not examined, since every run has trained on them: %d of %d images", missing, len(known))
    return counts


def _name_output_directory() -> str:
    timestamp = get_timestamp()
    return f"outputs/labels/{timestamp[:10]}/{timestamp[11:19].replace(':', '-')}"


def _read_predictions(run: Path) -> pd.DataFrame:
    """Read what a run says of its validation and test images. Raises UserError."""
    paths = [run / format_predictions_name(split) for split in ("val", "test")]
    tables = []
    try:
        tables = [read_parquet(path) for path in paths if path.is_file()]
    except (OSError, ValueError) as error:
        raise DataError(f"{run}: its predictions cannot be read ({error}); restore the run") from None
    if not tables or not (run / MANIFEST_PARQUET).is_file():
        raise UserError(f"{run}: holds no predictions of train.py; name the directory of a training that has finished")
    return pd.concat(tables, ignore_index=True)


def _read_fingerprint(run: Path) -> str:
    try:
        return str(read_json_object(run / PROVENANCE_JSON)["data_fingerprint"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{run / PROVENANCE_JSON}: cannot be read ({error}); restore the run") from None


def main() -> None:
    """Review the labels of the runs of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.train.review_labels"), description=format_documentation(__doc__)
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directories of trainings on the same data")
    parser.add_argument("--out", type=Path, help="where to write; outputs/labels/DATE/TIME unless given")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        review_labels(args.runs, args.out)


if __name__ == "__main__":
    main()
