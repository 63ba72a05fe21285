"""Where the project and the material beside it are."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared"
# Names the database as which those of MLflow begin, see tests/helpers/mlflow_tables.py.
TABLES_ENV = "FER_TESTS_MLFLOW_TABLES"
# Where it is set, trainings of programs draw no report, see tests/helpers/forkserver.py.
WITHOUT_REPORT_ENV = "FER_TESTS_WITHOUT_REPORT"
