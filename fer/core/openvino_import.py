"""Importing OpenVINO without its reports: by default the import alone sends one to Google Analytics."""

import sys
from types import ModuleType
from typing import Any, cast


def import_openvino() -> ModuleType:
    """Return the package `openvino`, which then reports no use, as NNCF does not either if imported later.

    What OpenVINO does where `openvino_telemetry` is not installed is to send nothing, and to write nothing into the
    user's home directory; so that package is made to look missing. Once a program has imported it itself, it is left.

    Raises:
        ImportError: It is not installed.
    """
    cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)
    import openvino

    return cast(ModuleType, openvino)
