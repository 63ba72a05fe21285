"""What a training, or the fit of a head, ends with."""

from dataclasses import dataclass

from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.train.embedding_cache import EmbeddedHead


@dataclass(frozen=True)
class FitResult:
    """Result of a training.

    Attributes:
        network: The network of the best epoch, on the CPU.
        history: A row of history.csv each validation.
        best_epoch: Counted from 1, a fraction within an epoch; None where nothing was validated.
        interrupted: Whether Ctrl-C or SIGTERM ended it.
        seconds: Time of the training alone.
        starting_weights_sha256: Of the file of weights that it started from; None where they were random.
        embedded: Answers as the network does, from features that are kept; None where there are none.
    """

    network: FaceNetwork | ClipNetwork
    history: list[dict[str, float]]
    best_epoch: float | None
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None
    embedded: EmbeddedHead | None = None
