"""Drawn faces: parametric faces with facial actions, for embedded data, demonstrations and tests."""

from fer.synthetic.actions import FaceActions, actions_for
from fer.synthetic.dataset import GENERATOR_VERSION, DrawnFace, draw_dataset_face
from fer.synthetic.identity import Identity
from fer.synthetic.render import draw_face, paste_face
from fer.synthetic.scene import Scene

__all__ = [
    "GENERATOR_VERSION",
    "DrawnFace",
    "FaceActions",
    "Identity",
    "Scene",
    "actions_for",
    "draw_dataset_face",
    "draw_face",
    "paste_face",
]
