"""Light and camera: what happens to an image's colours after the face is drawn."""

import math
from functools import lru_cache

import cv2
import numpy as np

from fer.synthetic.scene import Scene

_SAME = np.eye(3)
_GREY = np.tile((0.299, 0.587, 0.114), (3, 1))  # luma, ITU-R BT.601


@lru_cache(maxsize=8)
def _make_ramp(count: int) -> np.ndarray:
    return np.linspace(-1.0, 1.0, count, dtype=np.float32)


def relight(image: np.ndarray, scene: Scene) -> np.ndarray:
    """float32 (height, width, 3) of ``image`` under the scene's light; values are not clipped."""
    height, width = image.shape[:2]
    across, down = _make_ramp(width), _make_ramp(height)
    # The side the light comes from keeps its brightness, the other falls off.
    fall = 0.45 * scene.light_strength
    gain = (1.0 - 0.15 * fall * (1.0 + down))[:, None] * (1.0 - fall * 0.5 * (1.0 - scene.light_x * across))[None, :]
    gain *= scene.brightness * (1.0 + 0.35 * fall)
    if scene.shadow > 0.0:
        x, y = np.float32(math.cos(scene.shadow_angle)), np.float32(math.sin(scene.shadow_angle))
        along = y * down[:, None] + x * across[None, :]
        gain *= 1.0 - scene.shadow * np.clip(3.0 * along - 0.2, 0.0, 1.0)
    # OpenCV multiplies interleaved channels several times faster than NumPy.
    gains = cv2.merge([(gain * channel).astype(np.float32) for channel in np.array(scene.cast, np.float32)])
    return cv2.multiply(image, gains, dtype=cv2.CV_32F)


def apply_camera(light: np.ndarray, scene: Scene) -> np.ndarray:
    """uint8 image of ``light`` (float32, 0..255 nominal): saturation, contrast, blur, noise."""
    keep, mean = scene.contrast, sum(cv2.mean(light)[:3]) / 3.0
    colour = keep * (scene.saturation * _SAME + (1.0 - scene.saturation) * _GREY)
    image = cv2.transform(light, np.column_stack((colour, np.full(3, (1.0 - keep) * mean))))
    if scene.blur > 0.0:
        image = cv2.GaussianBlur(image, (0, 0), scene.blur * image.shape[0])
    grain = np.random.default_rng(scene.grain_seed).standard_normal(image.shape[:2], np.float32)
    # With dtype CV_8U OpenCV rounds and clips as it adds.
    return cv2.addWeighted(image, 1.0, cv2.merge((grain,) * 3), scene.noise, 0.0, dtype=cv2.CV_8U)


def render_backdrop(size: int, scene: Scene) -> np.ndarray:
    """uint8 (size, size, 3): a blurred wall or room between the scene's two colours."""
    rng = np.random.default_rng((scene.grain_seed, 1))
    weight = rng.random((4, 4, 1), np.float32)
    first, second = (np.array(colour, np.float32) for colour in scene.backdrop)
    patch = first + weight * (second - first)
    return cv2.resize(patch.astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
