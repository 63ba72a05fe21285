"""TorchScript, which PyTorch keeps for programs that have it already, C++ among them."""

import io
import json
import zipfile
from pathlib import Path

import torch
from typing_extensions import override

from fer.export.formats.base import Format, Runner
from fer.export.formats.torch_files import FACTS_FILE, build_torch_runner, ignore_warnings
from fer.export.graph import ExportGraph

# Source lines of each operation, and a hash over them; PyTorch loads files without them.
ORIGINS = (".debug_pkl", "/.data/serialization_id")


class TorchScriptFormat(Format):
    """One file, in which the facts are an extra file."""

    title, runtime, suffixes = "TorchScript", "PyTorch", (".pt",)

    @override
    def write(self, graph: ExportGraph, path: Path) -> None:
        with ignore_warnings():
            traced = torch.jit.trace(graph.module, tuple(graph.inputs.values()), check_trace=False)
            content = io.BytesIO()
            # Written to a path, it would hold the path's name.
            torch.jit.save(traced, content, _extra_files={FACTS_FILE: json.dumps(graph.facts)})
        path.write_bytes(_remove_origins(content))

    @override
    def open(self, path: Path, threads: int) -> Runner:
        torch.set_num_threads(threads)
        with ignore_warnings():
            return build_torch_runner(torch.jit.load(path, "cpu"))


def _remove_origins(content: io.BytesIO) -> bytes:
    """Return an archive without what it remembers of the code that it came from: paths of this machine among it."""
    result = io.BytesIO()
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(result, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(ORIGINS):
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))
    return result.getvalue()
