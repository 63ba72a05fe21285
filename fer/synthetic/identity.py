"""Who a face is: the parts that stay the same while its expression changes."""

from dataclasses import dataclass

import numpy as np

from fer.synthetic.geometry import Colour, mix_colours

HAIR_STYLES: tuple[str, ...] = ("bald", "cropped", "parted", "swept", "curly", "bob", "long", "fringe", "bun")
BEARDS: tuple[str, ...] = ("none", "stubble", "moustache", "full")
GLASSES: tuple[str, ...] = ("none", "round", "square")

_SKINS: tuple[Colour, ...] = (
    (252, 222, 202),
    (246, 206, 176),
    (232, 184, 146),
    (212, 158, 116),
    (182, 126, 88),
    (150, 100, 70),
    (122, 82, 58),
    (104, 71, 55),
)
_HAIRS: tuple[Colour, ...] = (
    (34, 30, 34),
    (58, 40, 34),
    (96, 62, 42),
    (142, 76, 44),
    (196, 104, 52),
    (222, 180, 110),
)
_GREY_HAIR: Colour = (186, 184, 188)
_DYED_HAIRS: tuple[Colour, ...] = ((70, 130, 150), (206, 110, 140), (128, 92, 168))
_EYES: tuple[Colour, ...] = (
    (74, 46, 32),
    (102, 66, 40),
    (128, 104, 56),
    (84, 124, 86),
    (84, 132, 170),
    (116, 132, 144),
)
_CLOTHES: tuple[Colour, ...] = (
    (52, 86, 120),
    (178, 74, 66),
    (226, 170, 80),
    (70, 120, 104),
    (112, 84, 130),
    (234, 228, 218),
    (64, 66, 76),
    (206, 132, 120),
)


@dataclass(frozen=True)
class Identity:
    """One person. Lengths are in head units (a face is two units high); factors are around 1.

    Colours are (red, green, blue) in 0..255. Raises ValueError for an unknown hair style, beard or glasses.
    """

    face_width: float = 0.76  # 0.68..0.84, half width at the cheekbones
    jaw_width: float = 0.84  # 0.7..0.98, jaw over cheekbone width
    chin_length: float = 0.0  # -0.07..0.07, added to the chin
    skin: Colour = (246, 206, 176)
    hair_style: str = "swept"  # one of HAIR_STYLES
    hair: Colour = (96, 62, 42)
    facial_hair: Colour = (96, 62, 42)  # of brows and beard
    hair_flip: bool = False  # the parting on the other side
    eye_colour: Colour = (102, 66, 40)
    eye_size: float = 1.0  # 0.88..1.15, factor
    eye_roundness: float = 1.0  # 0.8..1.2, height over width, factor
    eye_spacing: float = 0.335  # 0.31..0.36, from the middle line
    eye_tilt: float = 0.0  # -1..1, positive lifts the outer corners
    lashes: float = 0.2  # 0..1
    brow_thickness: float = 0.065  # 0.035..0.09
    brow_height: float = 0.0  # -0.03..0.04, positive is higher
    brow_arch: float = 0.0  # -1..1
    nose_width: float = 1.0  # 0.8..1.3, factor
    nose_length: float = 0.0  # -0.04..0.04
    mouth_width: float = 1.0  # 0.85..1.15, factor
    lip_fullness: float = 1.0  # 0.6..1.5, factor
    lips: Colour = (206, 118, 108)
    resting_lip_corner: float = 0.0  # -0.2..0.2, as FaceActions.lip_corner of the relaxed face
    resting_brow: float = 0.0  # -0.2..0.2, positive is lower
    beard: str = "none"  # one of BEARDS
    glasses: str = "none"  # one of GLASSES
    glasses_colour: Colour = (40, 38, 44)
    age: float = 0.2  # 0..1, how much creases show
    blush: float = 0.4  # 0..1
    clothes: Colour = (52, 86, 120)

    def __post_init__(self) -> None:
        for name, known in (("hair_style", HAIR_STYLES), ("beard", BEARDS), ("glasses", GLASSES)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}")

    @staticmethod
    def sample(rng: np.random.Generator) -> "Identity":
        """A person drawn at random."""
        feminine = rng.random() < 0.5
        age = float(rng.beta(1.3, 2.2))
        skin = _sample_between(_SKINS, rng)
        natural = _sample_hair_colour(age, skin, rng)
        hair = _DYED_HAIRS[rng.integers(len(_DYED_HAIRS))] if feminine and rng.random() < 0.05 else natural
        beard = "none" if feminine else str(rng.choice(BEARDS, p=(0.5, 0.2, 0.1, 0.2)))
        return Identity(
            face_width=_sample_around(rng, 0.75 if feminine else 0.77, 0.03, 0.68, 0.84),
            jaw_width=_sample_around(rng, 0.78 if feminine else 0.88, 0.045, 0.7, 0.98),
            chin_length=_sample_around(rng, 0.0, 0.03, -0.07, 0.07),
            skin=skin,
            hair_style=_sample_hair_style(feminine, age, rng),
            hair=hair,
            facial_hair=natural,
            hair_flip=bool(rng.random() < 0.5),
            eye_colour=_sample_iris_colour(skin, rng),
            eye_size=_sample_around(rng, 1.04 if feminine else 0.97, 0.05, 0.88, 1.15),
            eye_roundness=_sample_around(rng, 1.0, 0.1, 0.8, 1.2),
            eye_spacing=_sample_around(rng, 0.335, 0.01, 0.31, 0.36),
            eye_tilt=_sample_around(rng, 0.1, 0.4, -1.0, 1.0),
            lashes=_sample_around(rng, 0.8 if feminine else 0.1, 0.2, 0.0, 1.0),
            brow_thickness=_sample_around(rng, 0.052 if feminine else 0.072, 0.01, 0.035, 0.09),
            brow_height=_sample_around(rng, 0.01 if feminine else -0.005, 0.012, -0.03, 0.04),
            brow_arch=_sample_around(rng, 0.2 if feminine else -0.1, 0.4, -1.0, 1.0),
            nose_width=_sample_around(rng, 0.95 if feminine else 1.06, 0.09, 0.8, 1.3),
            nose_length=_sample_around(rng, 0.0, 0.018, -0.04, 0.04),
            mouth_width=_sample_around(rng, 1.0, 0.06, 0.85, 1.15),
            lip_fullness=_sample_around(rng, 1.12 if feminine else 0.9, 0.18, 0.6, 1.5),
            lips=_sample_lip_colour(skin, feminine, rng),
            resting_lip_corner=_sample_around(rng, 0.0, 0.08, -0.2, 0.2),
            resting_brow=_sample_around(rng, 0.0, 0.08, -0.2, 0.2),
            beard=beard,
            glasses=str(rng.choice(GLASSES, p=(0.84, 0.08, 0.08))),
            glasses_colour=_sample_glasses_colour(rng),
            age=age,
            blush=float(rng.random()),
            clothes=_CLOTHES[rng.integers(len(_CLOTHES))],
        )


def _sample_around(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    return float(min(max(rng.normal(mean, spread), low), high))


def _sample_between(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    """A colour somewhere along the row of ``colours``."""
    position = rng.beta(1.0, 1.3) * (len(colours) - 1)
    index = int(position)
    return mix_colours(colours[index], colours[index + 1], position - index)


def _compute_darkness(skin: Colour) -> float:
    return 1.0 - sum(skin) / 765.0


def _sample_hair_colour(age: float, skin: Colour, rng: np.random.Generator) -> Colour:
    fairest = len(_HAIRS) if _compute_darkness(skin) < 0.35 else 2
    hair = _HAIRS[rng.integers(fairest)]
    greyness = min(max((age - 0.55) * 3.0 * rng.random() * 2.0, 0.0), 1.0)
    return mix_colours(hair, _GREY_HAIR, greyness)


def _sample_iris_colour(skin: Colour, rng: np.random.Generator) -> Colour:
    return _EYES[rng.integers(len(_EYES) if _compute_darkness(skin) < 0.35 else 2)]


def _sample_lip_colour(skin: Colour, feminine: bool, rng: np.random.Generator) -> Colour:
    natural = mix_colours(skin, (176, 62, 70), 0.42)
    painted: Colour = (190, 40, 62) if rng.random() < 0.5 else (170, 62, 92)
    return mix_colours(natural, painted, 0.75 if feminine and rng.random() < 0.3 else 0.0)


def _sample_glasses_colour(rng: np.random.Generator) -> Colour:
    frames: tuple[Colour, ...] = ((40, 38, 44), (96, 58, 40), (58, 66, 92), (148, 46, 52))
    return frames[rng.integers(len(frames))]


def _sample_hair_style(feminine: bool, age: float, rng: np.random.Generator) -> str:
    if feminine:
        return str(rng.choice(("swept", "curly", "bob", "long", "fringe", "bun"), p=(0.08, 0.16, 0.2, 0.24, 0.2, 0.12)))
    bald = 0.06 + 0.14 * age
    chances = np.array((bald, *(np.array((0.28, 0.28, 0.26, 0.18)) * (1.0 - bald))))
    return str(rng.choice(("bald", "cropped", "parted", "swept", "curly"), p=chances))
