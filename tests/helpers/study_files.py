"""Files of studies for tests of their reading."""

from pathlib import Path
from typing import Any

import pytest

from fer.config.study import Study
from fer.errors import ConfigError
from fer.study.reading import read_study


def write(folder: Path, text: str, name: str = "study.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def refuse(path: Path) -> str:
    """What is said about a file, without its name."""
    with pytest.raises(ConfigError) as raised:
        read_study(path)
    prefix = f"extraction.study={path}: "
    lines = str(raised.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return "\n".join(line.removeprefix(prefix) for line in lines)


def list_recordings(study: Study, folder: Path) -> list[tuple[Any, ...]]:
    return [
        (item.file.removeprefix(f"{folder}/"), item.respondent, item.stimulus, item.onset_s, item.offset_s)
        for item in study.recordings
    ]


HEADER = "file,respondent,stimulus,onset_s,consent,gender\n"
