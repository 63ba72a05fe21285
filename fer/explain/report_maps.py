"""Explanations inside of the reports of trainings and videos."""

from collections.abc import Sequence

import numpy as np

from fer.bundle.metadata import FaceFormat
from fer.core.image import to_native
from fer.explain.attributions import GRAD_CAM, GRADIENT_SHAP, METHODS, Explainer, average_by_class
from fer.explain.feature_map import find_feature_map
from fer.explain.overlay import draw_overlay
from fer.explain.pipeline import choose_methods
from fer.models.network import FaceNetwork
from fer.reports.explanation import AveragedEmotion, MapFigure

# Of how many faces of a class the maps are averaged.
FACES_PER_CLASS = 12


def explain_mistakes(network: FaceNetwork, faces: np.ndarray, targets: Sequence[int]) -> list[list[MapFigure]]:
    """Draw why a network took faces for what they are not, by Grad-CAM and integrated gradients.

    Args:
        network: The network.
        faces: (N, h, w, C) uint8, native.
        targets: What it took each for.

    Returns:
        A map a method, for each face.
    """
    if not len(faces):
        return []
    explainer = Explainer(network)
    inputs = explainer.prepare(faces)
    pictures = explainer.restore_pictures(inputs)
    methods = [method for method in choose_methods(explainer)[0] if method != GRADIENT_SHAP]
    maps = {method: explainer.explain(method, inputs, targets).maps for method in methods}
    return [
        [
            MapFigure(METHODS[method], draw_overlay(picture, found[row], coarse=method == GRAD_CAM))
            for method, found in maps.items()
        ]
        for row, picture in enumerate(pictures)
    ]


def average_classes(
    network: FaceNetwork, faces: np.ndarray, labels: Sequence[int], classes: Sequence[str]
) -> list[AveragedEmotion]:
    """Average what the network looks at over faces of each class, by one quick method.

    Args:
        network: The network.
        faces: (N, h, w, C) uint8, native; faces that it recognises, a few of each class.
        labels: Their classes.
        classes: Names of the classes.
    """
    if not len(faces):
        return []
    explainer = Explainer(network)
    inputs = explainer.prepare(faces)
    pictures, method = explainer.restore_pictures(inputs), choose_methods(explainer)[0][0]
    averages = average_by_class(explainer.explain(method, inputs, labels).maps, labels)
    result = []
    for label, (mean, count) in averages.items():
        picture = pictures[np.asarray(labels) == label].mean(0).round().astype(np.uint8)
        figure = MapFigure(METHODS[method], draw_overlay(picture, mean, coarse=method == GRAD_CAM))
        result.append(AveragedEmotion(classes[label], count, picture, [figure]))
    return result


class MomentExplainer:
    """Grad-CAM of single faces for a given class, for the strongest moments of videos.

    Args:
        network: The network.
        faces: Native form of its training faces.

    Raises:
        ModelError: Its architecture has no convolutional feature map.
    """

    def __init__(self, network: FaceNetwork, faces: FaceFormat) -> None:
        find_feature_map(network)
        self.explainer, self.faces = Explainer(network), faces

    def draw(self, image: np.ndarray, target: int) -> np.ndarray:
        """Lay the map for a class over a face, (H, W) or (H, W, 3) uint8 RGB; returns (side, side, 3)."""
        native = to_native(image, self.faces.side, self.faces.colour)[None]
        inputs = self.explainer.prepare(native)
        maps = self.explainer.explain(GRAD_CAM, inputs, [target]).maps
        return draw_overlay(self.explainer.restore_pictures(inputs)[0], maps[0], coarse=True)
