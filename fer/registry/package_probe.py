"""A script for a fresh process: does the code of an unpacked package reproduce the probabilities of its samples?

It must import nothing of this project but the package itself. It prints one JSON object: the largest `difference` from
the samples' probabilities, or the `problem`.
"""

import importlib
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def probe_package(package: Path) -> dict[str, float | str]:
    """Send every sample, a picture or a clip, through the four handlers of the package in a directory."""
    code = package / "code"
    sys.path.insert(0, str(code))
    inference = importlib.import_module("inference")
    with np.load(package / "bundle" / "samples.npz", allow_pickle=False) as samples:
        images, expected = samples["images"], samples["probabilities"]
    model = inference.model_fn(str(package))
    difference = 0.0
    for sample, rows in zip(images, expected.reshape(len(images), -1, expected.shape[-1]), strict=True):
        body, content_type = _pack(sample)
        prediction = inference.predict_fn(inference.input_fn(body, content_type), model)
        answer, _ = inference.output_fn(prediction, "application/jsonlines")
        lines = [list(json.loads(line)["probabilities"].values()) for line in answer.splitlines()]
        if len(lines) != len(rows) or any(len(line) != rows.shape[1] for line in lines):
            return {"problem": f"it does not answer {rows.shape[1]} classes for each of its samples"}
        difference = max(difference, float(np.abs(np.array(lines) - rows).max()))
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "fer"]
    if foreign := [module.__name__ for module in modules if not Path(str(module.__file__)).is_relative_to(code)]:
        return {"problem": f"its code is not complete: {', '.join(foreign)} came from elsewhere"}
    if "torch" in sys.modules:
        return {"problem": "it needs PyTorch to answer"}
    return {"difference": difference}


def _pack(sample: np.ndarray) -> tuple[bytes, str]:
    """The body of a request, and its content type: of a picture (H, W, 3), or of a clip (T, H, W, 3)."""
    if sample.ndim == 3:
        return _encode(sample), "image/png"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number, frame in enumerate(sample):
            data = _encode(frame)
            member = tarfile.TarInfo(f"{number:03d}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue(), "application/x-tar; sequence=true"


def _encode(image: np.ndarray) -> bytes:
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    return png.getvalue()


if __name__ == "__main__":
    print(json.dumps(probe_package(Path(sys.argv[1]))))
