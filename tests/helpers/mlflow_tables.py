"""MLflow's tables are made once and copied: its seventy migrations of an empty database take seconds. Which of them is
the last one is looked up once, too: each is a module that is loaded for that.
"""

import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

import mlflow.store.db.utils as database
from filelock import FileLock
from mlflow.store.model_registry import sqlalchemy_store as registry
from sqlalchemy import Engine, create_engine

from tests.helpers.paths import TABLES_ENV

_migrate = database._initialize_tables


def copy_tables() -> None:
    """Have new databases of this process begin as copies, and their version be compared with one that is known."""
    database._initialize_tables = registry._initialize_tables = _initialize_tables
    database._get_latest_schema_revision = cache(database._get_latest_schema_revision)


def _initialize_tables(engine: Engine) -> None:
    """Copy what MLflow made of an empty database before, where TABLES_ENV names it."""
    place = os.environ.get(TABLES_ENV)
    if place is None or engine.url.database is None or not database._is_empty_database(engine):
        _migrate(engine)
        return
    _make_tables(Path(place))
    with closing(sqlite3.connect(place)) as made, engine.connect() as connection:
        made.backup(connection.connection.driver_connection)


def _make_tables(path: Path) -> None:
    """Make the database that others begin as, unless another process has."""
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            begun = path.with_suffix(".part")
            engine = create_engine(f"sqlite:///{begun}")
            _migrate(engine)
            engine.dispose()
            begun.rename(path)
