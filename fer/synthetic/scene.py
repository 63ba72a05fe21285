"""How a face is photographed: framing, light, camera, background, and what stands in the way."""

from dataclasses import dataclass

import numpy as np

from fer.synthetic.geometry import Colour, mix_colours

OCCLUDERS: tuple[str, ...] = ("none", "hand", "hair", "scarf")

_BACKDROPS: tuple[Colour, ...] = (
    (222, 214, 202),
    (176, 196, 208),
    (120, 148, 160),
    (196, 176, 160),
    (92, 104, 124),
    (152, 168, 140),
    (214, 178, 150),
    (66, 70, 82),
    (238, 234, 228),
    (128, 104, 98),
)


@dataclass(frozen=True)
class Scene:
    """One shot. The defaults are an evenly lit studio image without noise.

    Raises ValueError for an unknown occluder.
    """

    shift_x: float = 0.0  # -0.1..0.1, fractions of the image
    shift_y: float = 0.0  # -0.1..0.1, fractions of the image
    scale: float = 1.0  # 0.85..1.15, factor on the face's size
    light_x: float = -0.35  # -1..1, where the light comes from; -1 is the image's left
    light_strength: float = 0.3  # 0..1, how much the far side falls off
    brightness: float = 1.0  # 0.5..1.3, factor
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gains of red, green and blue
    shadow: float = 0.0  # 0..0.6, depth of a shadow that falls across the face
    shadow_angle: float = 0.0  # radians, direction in which that shadow lies
    contrast: float = 1.0  # 0.4..1.1, factor around the image's mean
    saturation: float = 1.0  # 0..1.1, factor; 0 is a black-and-white image
    blur: float = 0.0  # 0..0.02, standard deviation in fractions of the image
    noise: float = 0.0  # 0..16, standard deviation in grey levels
    backdrop: tuple[Colour, Colour] = ((222, 214, 202), (196, 176, 160))
    occluder: str = "none"  # one of OCCLUDERS
    occluder_flip: bool = False  # the occluder on the other side
    grain_seed: int = 0  # of the noise and of the backdrop's pattern

    def __post_init__(self) -> None:
        if self.occluder not in OCCLUDERS:
            raise ValueError(f"unknown occluder {self.occluder!r}; there are {', '.join(OCCLUDERS)}")

    @staticmethod
    def sample(rng: np.random.Generator) -> "Scene":
        """A shot drawn at random.

        Light, noise and framing vary less than in images from the web, or MobileNetV2 from random weights would
        learn nothing from the few thousand faces of a demonstration.
        """
        warmth = rng.normal(0.0, 0.06)
        first, second = rng.integers(len(_BACKDROPS), size=2)
        return Scene(
            shift_x=float(rng.uniform(-0.02, 0.02)),
            shift_y=float(rng.uniform(-0.02, 0.02)),
            scale=float(rng.uniform(0.97, 1.03)),
            light_x=float(rng.uniform(-1.0, 1.0)),
            light_strength=float(0.5 * rng.beta(1.6, 2.4)),
            brightness=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.2)),
            cast=(1.0 + float(warmth), 1.0, 1.0 - float(warmth)),
            shadow=float(rng.uniform(0.2, 0.55)) if rng.random() < 0.05 else 0.0,
            shadow_angle=float(rng.uniform(0.0, 2.0 * np.pi)),
            contrast=float(rng.uniform(0.45, 0.75)) if rng.random() < 0.12 else 1.0,
            saturation=0.0 if rng.random() < 0.12 else float(rng.uniform(0.7, 1.1)),
            blur=float(rng.uniform(0.003, 0.008)) if rng.random() < 0.15 else 0.0,
            noise=float(rng.uniform(2.0, 6.0)) if rng.random() < 0.3 else float(rng.uniform(0.0, 2.0)),
            backdrop=(_BACKDROPS[first], mix_colours(_BACKDROPS[first], _BACKDROPS[second], 0.6)),
            occluder=str(rng.choice(OCCLUDERS, p=(0.97, 0.01, 0.01, 0.01))),
            occluder_flip=bool(rng.random() < 0.5),
            grain_seed=int(rng.integers(2**31)),
        )
