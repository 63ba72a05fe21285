"""`python -m tests.helpers.registrar STORE FOLDER MARK…` registers candidates, one after the other."""

import sys
from pathlib import Path

from fer.cli import reported
from fer.registry.mlflow import MlflowRegistry
from fer.registry.promotion import enrol
from tests.helpers.candidates import NAME, candidate


def main(store: str, folder: str, *marks: str) -> None:
    registry = MlflowRegistry(Path(store))
    with reported():
        for mark in marks:
            with registry.changing(NAME):
                enrol(registry, registry.register(candidate(Path(folder), mark)))


if __name__ == "__main__":
    main(*sys.argv[1:])
