"""Reading W&B's files of an offline run: LevelDB's log of its own protocol buffers.

W&B itself reads them only inside its compiled `wandb sync`.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record

# https://github.com/google/leveldb/blob/main/doc/log_format.md, behind W&B's own header.
HEADER, BLOCK, FRAME = 7, 32768, struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Record]:
    content, place, whole = path.read_bytes(), HEADER, b""
    assert content[:4] == b":W&B"
    while place + FRAME.size <= len(content):
        if BLOCK - place % BLOCK < FRAME.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = FRAME.unpack_from(content, place)
        whole += content[place + FRAME.size : place + FRAME.size + length]
        place += FRAME.size + length
        if kind in (FULL, LAST):
            yield Record.FromString(whole)
            whole = b""


@dataclass
class OfflineRun:
    """What W&B would be sent: ``history`` has a dictionary a logged row."""

    id: str = ""
    name: str = ""
    project: str = ""
    host: str = ""
    resumed: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    artifacts: list[ArtifactRecord] = field(default_factory=list)
    output: int = 0
    exit_code: int | None = None

    def figures(self, name: str) -> dict[int, float]:
        """A column of history.csv by its epoch."""
        return {int(row["epoch"]): row[name] for row in self.history if name in row}


def read_offline_run(path: Path) -> OfflineRun:
    """The run in a `.wandb` file."""
    found = OfflineRun()
    for record in records(path):
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                found.id, found.name, found.project, found.host = run.run_id, run.display_name, run.project, run.host
                found.resumed, found.tags = run.resumed, list(run.tags)
                found.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
            case "history":
                found.history.append(named(record.history.item))
            case "summary":
                found.summary |= named(record.summary.update)
            case "metric" if record.metric.step_metric:
                found.steps[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            case "files":
                found.files += [file.path for file in record.files.files]
            case "artifact":
                found.artifacts.append(record.artifact)
            case "request" if record.request.WhichOneof("request_type") == "log_artifact":
                found.artifacts.append(record.request.log_artifact.artifact)
            case "output" | "output_raw":
                found.output += 1
            case "exit":
                found.exit_code = record.exit.exit_code
    return found


def named(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
