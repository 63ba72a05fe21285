"""What readers of history.csv compute from its rows, of which an epoch may have several."""

import numpy as np
import pandas as pd


def compute_epoch_seconds(epochs: pd.Series, seconds: pd.Series) -> pd.Series:
    """Compute the seconds of each epoch; a row within an epoch holds the time of the epoch so far.

    Args:
        epochs: Column ``epoch`` of history.csv.
        seconds: Its column ``seconds``, with the same index.
    """
    return seconds.groupby(np.ceil(epochs)).max()
