"""What a running infer.py has finished so far, in pieces that survive a kill: `parts/` of the run directory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer.core.io import write_text, written_beside
from fer.errors import DataError, first_line

FOLDER = "parts"
ENDED = "video.json"


@dataclass(frozen=True)
class Parts:
    """Pieces of the emotion table of one video: some sampled frames each, whole frames only, in their order.

    ``video.json`` is written last; without it the video is unfinished.
    """

    folder: Path

    @classmethod
    def of(cls, run_directory: Path, number: int) -> "Parts":
        """The pieces of a run's video, counted from 0."""
        return cls(run_directory / FOLDER / f"{number:05d}")

    def files(self) -> list[Path]:
        """The pieces that are there, in order."""
        return sorted(self.folder.glob("*.parquet"))

    def add(self, piece: int, rows: pd.DataFrame) -> None:
        with written_beside(self.folder / f"{piece:06d}.parquet") as beside:
            rows.to_parquet(beside, index=False)

    def piece(self, file: Path, columns: list[str] | None = None) -> pd.DataFrame:
        """One of the pieces, or ``columns`` of it. Raises DataError."""
        try:
            return pd.read_parquet(file, columns=columns)
        except (OSError, ValueError) as error:
            raise self.damaged(file, error) from None

    def read(self, columns: list[str] | None = None) -> pd.DataFrame:
        """All pieces, or ``columns`` of them, as one table; empty where there are none. Raises DataError."""
        tables = [self.piece(file, columns) for file in self.files()]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def usable(self) -> int:
        """The number of faces that are fit to be judged. Raises DataError."""
        return sum(int((self.piece(file, ["status"])["status"] == "ok").sum()) for file in self.files())

    def end(self, facts: dict[str, Any]) -> None:
        """Mark the video as finished, with the facts about it."""
        write_text(self.folder / ENDED, json.dumps(facts, indent=2) + "\n")

    def ended(self) -> dict[str, Any] | None:
        """What ``end`` was given, or None for an unfinished video. Raises DataError."""
        file = self.folder / ENDED
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except ValueError as error:
            raise self.damaged(file, error) from None

    def damaged(self, file: Path, error: Exception) -> DataError:
        return DataError(
            f"{file}: is damaged ({first_line(error)}); remove the directory {self.folder} and resume, "
            "which does this video anew"
        )
