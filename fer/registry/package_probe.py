"""A script for a fresh process: does the code of an unpacked package reproduce the probabilities of its samples?

It must import nothing of this project but the package itself. It prints one JSON object: the largest `difference` from
the samples' probabilities, or the `problem`.
"""

import importlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def probe_package(package: Path) -> dict[str, float | str]:
    """Send every sample as a PNG through the four handlers of the package in a directory."""
    code = package / "code"
    sys.path.insert(0, str(code))
    inference = importlib.import_module("inference")
    with np.load(package / "bundle" / "samples.npz", allow_pickle=False) as samples:
        images, expected = samples["images"], samples["probabilities"]
    model = inference.model_fn(str(package))
    difference = 0.0
    for image, row in zip(images, expected, strict=True):
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        prediction = inference.predict_fn(inference.input_fn(png.getvalue(), "image/png"), model)
        answer, _ = inference.output_fn(prediction, "application/jsonlines")
        probabilities = list(json.loads(answer)["probabilities"].values())
        if len(probabilities) != len(row):
            return {"problem": f"it answers {len(probabilities)} classes instead of {len(row)}"}
        difference = max(difference, float(np.abs(np.array(probabilities) - row).max()))
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "fer"]
    if foreign := [module.__name__ for module in modules if not Path(str(module.__file__)).is_relative_to(code)]:
        return {"problem": f"its code is not complete: {', '.join(foreign)} came from elsewhere"}
    if "torch" in sys.modules:
        return {"problem": "it needs PyTorch to answer"}
    return {"difference": difference}


if __name__ == "__main__":
    print(json.dumps(probe_package(Path(sys.argv[1]))))
