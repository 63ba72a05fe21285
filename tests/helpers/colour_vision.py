"""What colours look like to the colour-blind, and how far apart two colours look (CIEDE2000)."""

import numpy as np

# Machado, Oliveira & Fernandes (2009), severity 1, for linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear_rgb(colours: list[str]) -> np.ndarray:
    """``#rrggbb`` as (N, 3) linear RGB."""
    values = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(linear: np.ndarray, deficiency: str = "none") -> np.ndarray:
    """CIELAB (N, 3) of linear RGB (N, 3) as somebody with the deficiency sees it."""
    seen = np.clip(linear @ DEFICIENCIES[deficiency].T, 0, 1)
    ratio = seen @ XYZ_OF_RGB.T / WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The colour difference (Sharma, Wu & Dalal 2005) of two arrays (..., 3) of CIELAB."""
    mean_c = (np.hypot(one[..., 1], one[..., 2]) + np.hypot(other[..., 1], other[..., 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    a1, a2 = stretch * one[..., 1], stretch * other[..., 1]
    c1, c2 = np.hypot(a1, one[..., 2]), np.hypot(a2, other[..., 2])
    h1, h2 = np.degrees(np.arctan2(one[..., 2], a1)) % 360, np.degrees(np.arctan2(other[..., 2], a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180
    turn = np.where(c1 * c2 == 0, 0, turn)
    chroma = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, mean_l, mean_c = other[..., 0] - one[..., 0], (one[..., 0] + other[..., 0]) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    hue = np.where(c1 * c2 == 0, h1 + h2, ((h1 + h2 + np.where(far, 360, 0)) / 2) % 360)
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.2 * np.cos(np.radians(4 * hue - 63))
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    bend = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * 2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    parts = (lightness / s_l) ** 2 + ((c2 - c1) / s_c) ** 2 + (chroma / s_h) ** 2
    return np.asarray(np.sqrt(parts + bend * (c2 - c1) / s_c * chroma / s_h))


def smallest_distance(colours: list[str], deficiency: str) -> float:
    """The smallest difference between any two of the colours, as somebody with the deficiency sees them."""
    seen = lab(linear_rgb(colours), deficiency)
    first, second = np.triu_indices(len(colours), 1)
    return float(ciede2000(seen[first], seen[second]).min())
