"""`python -m tests.registry.registrar STORE FOLDER MARK…` registers candidates, one after the other."""

import sys
from pathlib import Path

from fer.cloud.mlflow_registry import MlflowRegistry
from fer.cloud.promotion import enrol
from fer.program import reported
from tests.registry.candidates import NAME, candidate


def main(store: str, folder: str, *marks: str) -> None:
    registry = MlflowRegistry(Path(store))
    with reported():
        for mark in marks:
            with registry.changing(NAME):
                enrol(registry, registry.register(candidate(Path(folder), mark)))


if __name__ == "__main__":
    main(*sys.argv[1:])
