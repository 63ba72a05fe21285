"""The ExportedProgram of torch.export, which follows TorchScript."""

import io
import json
from pathlib import Path

import torch
from typing_extensions import override

from fer.export.formats.base import Format, Runner
from fer.export.formats.torch_files import FACTS_FILE, build_torch_runner, ignore_warnings
from fer.export.graph import ExportGraph

# What nodes remember of the code that they came from: paths of this machine among it.
ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node")


class ExportedProgramFormat(Format):
    """One file, in which the facts are an extra file."""

    title, runtime, suffixes = "ExportedProgram", "PyTorch", (".pt2",)

    @override
    def write(self, graph: ExportGraph, path: Path) -> None:
        batch = torch.export.Dim("batch", min=1)
        with ignore_warnings():
            program = torch.export.export(
                graph.module, tuple(graph.inputs.values()), dynamic_shapes=tuple({0: batch} for _ in graph.inputs)
            )
        for node in program.graph.nodes:
            for name in ORIGINS:
                node.meta.pop(name, None)
        content = io.BytesIO()
        with ignore_warnings():
            torch.export.save(program, content, extra_files={FACTS_FILE: json.dumps(graph.facts)})
        path.write_bytes(content.getvalue())

    @override
    def open(self, path: Path, threads: int) -> Runner:
        torch.set_num_threads(threads)
        with ignore_warnings():
            return build_torch_runner(torch.export.load(path).module())
