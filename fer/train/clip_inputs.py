"""What a network of clips sees of the store, and what stages do with clips that are made for single faces."""

import numpy as np

from fer.config import Config
from fer.data.clips.index import ClipWindows
from fer.data.image_store import ImageStore
from fer.errors import UserError
from fer.models.clip_format import TemporalFormat
from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork


def get_format(network: FaceNetwork | ClipNetwork) -> TemporalFormat | None:
    """The windows of a network of clips; None of one of single faces."""
    return network.format if isinstance(network, ClipNetwork) else None


def select_windows(store: ImageStore, format: TemporalFormat | None) -> ClipWindows | None:
    """Return the windows that a network sees of a store's clips; None of a network of single faces.

    Args:
        store: The data.
        format: The network's windows; None of one of single faces.

    Raises:
        UserError: The network looks at clips, and the data are images, or the other way round.
    """
    if format is None:
        if store.clips is not None:
            raise UserError("the model looks at single faces, and the data are clips; name a model of clips")
        return None
    if store.clips is None:
        raise UserError("the model looks at clips, and the data are images; use dataset=clips, or another model")
    return ClipWindows(store.clips, format.length, format.step_s)


def find_pictures(store: ImageStore, rows: np.ndarray) -> np.ndarray:
    """Find the images that show samples: themselves, or the middle frame of each clip.

    Args:
        store: The data.
        rows: Rows (N,) of the store's index.

    Returns:
        Rows (N,) of its images.
    """
    if store.clips is None:
        return rows
    return (store.clips.starts[rows] + store.clips.starts[rows + 1]) // 2


def refuse_face_stages(config: Config) -> None:
    """Refuse, for a network of clips, what is made for single faces. Raises UserError."""
    refused = {
        "trainer.explain=true": config.trainer.explain,
        "evaluation.slices=true": config.evaluation.slices,
        "evaluation.robustness=true": config.evaluation.robustness,
        "trainer.stages=[embed]": "embed" in config.trainer.stages,
    }
    for setting, chosen in refused.items():
        if chosen:
            raise UserError(f"{setting}: is for models of single faces, and the model is one of clips; leave it out")
