"""How long somebody may be out of sight and still be the same person."""

# Where no number of frames is set: so many seconds, and at least so many sampled frames, because at one frame a second
# and fewer a face that was overlooked twice is nobody who left.
LONGEST_S = 2.0
LEAST_FRAMES = 2
# Times of some containers are rounded to milliseconds.
_SLACK_S = 0.001


def tolerates_gap(max_missed: int | None, missed: int, seconds: float) -> bool:
    """Whether a person who comes back after a gap is still the same.

    Args:
        max_missed: Sampled frames without the face that are tolerated; None goes by seconds, as above.
        missed: Sampled frames without the face so far.
        seconds: From the last frame with the face to the last one without it.

    Examples:
        >>> tolerates_gap(None, missed=12, seconds=1.5), tolerates_gap(2, missed=12, seconds=1.5)
        (True, False)
    """
    if max_missed is not None:
        return missed <= max_missed
    return missed <= LEAST_FRAMES or seconds < LONGEST_S - _SLACK_S
