"""What an ONNX file consists of, read without its weights, and without trusting that it is one.

The file may come from anybody. Protocol buffers read later with whatever they are told: two bytes become an object of
a hundred, and fields name files to load or hold programs. So each field is looked at first: only those that this
program's exports have are let through, in bounded number, and weights are left out.
"""

from collections.abc import Set
from typing import Any

import onnx

# All that an export consists of. Not among it: data in other files, subgraphs, functions, sparse tensors.
_FIELDS: dict[str, Set[str]] = {
    "ModelProto": {"ir_version", "producer_name", "producer_version", "opset_import", "graph", "metadata_props"},
    "OperatorSetIdProto": {"domain", "version"},
    "StringStringEntryProto": {"key", "value"},
    "GraphProto": {"node", "name", "initializer", "input", "output", "value_info"},
    "NodeProto": {"input", "output", "name", "op_type", "attribute", "domain", "doc_string"},
    "AttributeProto": {"name", "type", "f", "i", "s", "t", "floats", "ints"},
    "TensorProto": {"dims", "data_type", "name", "raw_data"},
    "ValueInfoProto": {"name", "type"},
    "TypeProto": {"tensor_type"},
    "Tensor": {"elem_type", "shape"},
    "TensorShapeProto": {"dim"},
    "Dimension": {"dim_value", "dim_param"},
}
# Of some eighty architectures of timm, the largest has 55,000 fields in 1 MB.
MAX_FIELDS, MAX_BYTES = 100_000, 8 << 20
# Larger tensors are weights; smaller ones may be shapes, of which the sizes of others follow.
MAX_VALUE_BYTES = 1024
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


def read_structure(content: bytes) -> onnx.ModelProto:
    """Return the model in an ONNX file, without the content of tensors of more than MAX_VALUE_BYTES.

    Raises:
        ValueError: It is none, has fields that no export has, or is too large even without its weights.
    """
    model = _StructureReader().copy(memoryview(content), onnx.ModelProto.DESCRIPTOR)
    try:
        return onnx.ModelProto.FromString(model)
    except Exception as error:
        # google.protobuf's error is of no public base class.
        raise ValueError(f"it is no ONNX file ({type(error).__name__})") from None


class _StructureReader:
    """Copies messages without large tensors, within bounds for all of them together."""

    def __init__(self) -> None:
        self.fields = self.bytes = 0

    def copy(self, data: memoryview, message: Any) -> bytes:
        """Return a message of a descriptor, without the content of large tensors. Raises ValueError."""
        parts, position = [], 0
        while position < len(data):
            start = position
            tag, position = _read_varint(data, position)
            number, kind = tag >> 3, tag & 7
            field = message.fields_by_number.get(number)
            if field is None or field.name not in _FIELDS[message.name]:
                name = f"{message.name}.{number if field is None else field.name}"
                raise ValueError(f"it has {name}, which no export has")
            if kind == _DELIMITED:
                length, content = _read_varint(data, position)
                position = content + length
            elif kind == _VARINT:
                _, position = _read_varint(data, position)
            elif kind in (_FIXED32, _FIXED64):
                position += 4 if kind == _FIXED32 else 8
            else:
                raise ValueError("it is no ONNX file")
            if position > len(data) or (field.message_type is not None and kind != _DELIMITED):
                raise ValueError("it is no ONNX file, or not a whole one")
            if field.name == "raw_data" and position - start > MAX_VALUE_BYTES:
                self._count(0)
            elif field.message_type is not None:
                self._count(0)
                inner = self.copy(data[content:position], field.message_type)
                parts += [_write_varint(tag), _write_varint(len(inner)), inner]
            else:
                self._count(position - start)
                parts.append(bytes(data[start:position]))
        return b"".join(parts)

    def _count(self, size: int) -> None:
        self.fields += 1
        self.bytes += size
        if self.fields > MAX_FIELDS or self.bytes > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_FIELDS:,} entries, or {MAX_BYTES >> 20} MiB beside its weights")


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends. Raises ValueError."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
    raise ValueError("it is no ONNX file, or not a whole one")


def _write_varint(number: int) -> bytes:
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)
