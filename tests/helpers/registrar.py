"""`python -m tests.helpers.registrar STORE FOLDER MARK…` registers candidates, one after the other."""

import sys
from pathlib import Path

from fer.registry.mlflow import MlflowRegistry
from fer.registry.promotion import assign_alias
from fer.runs.program import user_errors_to_exit_code
from tests.helpers.candidates import NAME, candidate


def main(store: str, folder: str, *marks: str) -> None:
    registry = MlflowRegistry(Path(store))
    with user_errors_to_exit_code():
        for mark in marks:
            with registry.lock(NAME):
                assign_alias(registry, registry.register(candidate(Path(folder), mark)))


if __name__ == "__main__":
    main(*sys.argv[1:])
