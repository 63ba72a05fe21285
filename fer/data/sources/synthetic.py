"""Drawn faces, labelled by ten simulated annotators."""

import hashlib

import cv2
import numpy as np

from fer.data.sources.base import ImageInfo, Source, build_voted_table
from fer.emotions import EMOTIONS
from fer.synthetic import GENERATOR_VERSION, SyntheticFace, draw_dataset_face

ORDER = (*EMOTIONS, "unknown")


def read_synthetic(name: str, count: int, size: int, seed: int) -> Source:
    """Return ``count`` faces of ``size``×``size`` pixels, each drawn when it is read; equal for equal arguments.

    Of every ten faces eight are for training, one for validation, one for test.
    """
    faces = [draw_dataset_face(seed, index, size) for index in range(count)]
    paths = [f"face-{index:06d}" for index in range(count)]
    splits = [("val" if index % 10 == 8 else "test" if index % 10 == 9 else "train") for index in range(count)]
    votes = np.array([[face.votes[emotion] for emotion in ORDER] for face in faces])
    images: dict[str, SyntheticFace] = dict(zip(paths, faces, strict=True))
    identity = f"{GENERATOR_VERSION}/{cv2.__version__}/{seed}/{size}"
    return Source(
        name,
        build_voted_table(paths, splits, votes, ORDER),
        lambda path: images[path].image,
        get_info=lambda path: ImageInfo(hashlib.sha256(f"{identity}/{path}".encode()).hexdigest(), size, colour=True),
        notes=(f"drawn by generator {GENERATOR_VERSION}, ten simulated annotators",),
    )
