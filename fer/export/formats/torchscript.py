"""TorchScript, which PyTorch keeps for programs that have it already, C++ among them."""

import io
import json
from pathlib import Path

import torch
from typing_extensions import override

from fer.export.formats.base import Format, Runner
from fer.export.formats.torch_files import FACTS_FILE, build_torch_runner, ignore_warnings
from fer.export.graph import ExportGraph


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
        path.write_bytes(content.getvalue())

    @override
    def open(self, path: Path, threads: int) -> Runner:
        torch.set_num_threads(threads)
        with ignore_warnings():
            return build_torch_runner(torch.jit.load(path, "cpu"))
