"""Run by the Python of DeepFace's own environment, never imported: it answers a line of JSON for each line of JSON.

Asked `{"id": 7, "png": "<base64>"}`, it answers `{"id": 7, "emotion": {"angry": 0.1, …}, "age": 31, "gender":
{"Man": 1, …}}` or `{"id": 7, "error": "…"}`. Its first line is `{"ready": true}`, or why it cannot start. It ends
with its input.
"""

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def watch_parent() -> None:
    """End as soon as the parent is gone, also in the middle of a computation."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def load(actions: list[str]) -> Callable[[Any], dict[str, Any]]:
    """Return what analyses a face, (H, W, 3) uint8 BGR; its networks are loaded."""
    import numpy as np
    from deepface import DeepFace

    def analyze(face: Any) -> dict[str, Any]:
        found = DeepFace.analyze(
            img_path=face, actions=actions, detector_backend="skip", enforce_detection=False, silent=True
        )[0]
        # Percentages of NumPy's types.
        answer: dict[str, Any] = {"emotion": {name: float(value) / 100 for name, value in found["emotion"].items()}}
        if "age" in actions:
            answer["age"] = float(found["age"])
        if "gender" in actions:
            answer["gender"] = {name: float(value) / 100 for name, value in found["gender"].items()}
        return answer

    # The first face loads the networks.
    analyze(np.full((224, 224, 3), 127, np.uint8))
    return analyze


def decode(png: str) -> Any:
    """Pixels (H, W, 3) uint8 BGR."""
    import cv2
    import numpy as np

    return cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)


def describe(error: BaseException) -> str:
    """The first line of an error."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"


def main() -> None:
    """Answer until the input ends."""
    watch_parent()
    # Libraries print as they like; the answers go alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        analyze = load(sys.argv[1].split(","))
    except Exception as error:
        say({"ready": False, "error": describe(error)})
        return
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say({"id": request["id"], **analyze(decode(request["png"]))})
        except Exception as error:
            say({"id": request["id"], "error": describe(error)})


if __name__ == "__main__":
    main()
