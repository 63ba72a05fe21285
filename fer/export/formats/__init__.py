"""The formats that a model can be exported to: a newcomer is a file and a line here."""

from fer.config.export import ExportFormat
from fer.export.formats.base import Format
from fer.export.formats.exported_program import ExportedProgramFormat
from fer.export.formats.onnx import OnnxFormat
from fer.export.formats.openvino import OpenVinoFormat
from fer.export.formats.torchscript import TorchScriptFormat

FORMATS: dict[ExportFormat, Format] = {
    "onnx": OnnxFormat(),
    "torchscript": TorchScriptFormat(),
    "exported_program": ExportedProgramFormat(),
    "openvino": OpenVinoFormat(),
}
