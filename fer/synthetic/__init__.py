"""Drawn faces: parametric faces with facial actions, for embedded data, demonstrations and tests."""

from fer.synthetic.actions import FaceActions, sample_actions
from fer.synthetic.dataset import GENERATOR_VERSION, SyntheticFace, draw_dataset_face
from fer.synthetic.identity import Identity
from fer.synthetic.render import draw_face, paste_face
from fer.synthetic.scene import Scene

__all__ = [
    "GENERATOR_VERSION",
    "SyntheticFace",
    "FaceActions",
    "Identity",
    "Scene",
    "sample_actions",
    "draw_dataset_face",
    "draw_face",
    "paste_face",
]
