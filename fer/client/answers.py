"""Answers of a server, of which nothing is believed unseen."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from fer.client.bodies import Batch
from fer.core.installation import format_command
from fer.emotions import AFFECT
from fer.errors import UserError

MAX_CLASSES = 100
MAX_TEXT_LENGTH = 1000  # characters of a name or a reason


@dataclass(frozen=True)
class Answer:
    """What a server says of one picture.

    Args:
        name: The path of its file, or its number from 0.
        emotion: The most probable one; empty where there is an error.
        probabilities: By emotion; they sum to 1.
        uncertain: Whether the model's own rule calls it so; None where the model has none.
        affect: Valence and arousal, -1 to 1, of models that estimate them.
        error: Why the picture could not be classified.
    """

    name: str
    emotion: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    uncertain: bool | None = None
    affect: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def confidence(self) -> float:
        """The largest probability, 0 where there is an error."""
        return max(self.probabilities.values(), default=0.0)


def parse_answers(body: bytes, batch: Batch, url: str) -> list[Answer]:
    """Return the answers of a response to a batch, in its order.

    Raises:
        UserError: They are not those of a server of this project.
    """
    try:
        lines = [json.loads(line) for line in body.decode("utf-8").splitlines()]
        if [line["id"] for line in lines] != [str(number) for number in range(len(batch.pictures))]:
            raise ValueError("other pictures are answered than were sent")
        pairs = zip(lines, batch.pictures, strict=True)
        return [_parse_answer(line, picture.name) for line, picture in pairs]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{url}: answers otherwise than a server of this project ({str(error)[:200]}); name one "
            f"that {format_command('fer.serving')} has started"
        ) from None


def _parse_answer(line: dict[str, Any], name: str) -> Answer:
    """Raises ValueError, KeyError, TypeError, AttributeError for anything that is none."""
    if "error" in line:
        return Answer(name, error=str(line["error"])[:MAX_TEXT_LENGTH])
    probabilities = {str(key): _parse_number(value, 0.0) for key, value in line["probabilities"].items()}
    if not 2 <= len(probabilities) <= MAX_CLASSES or line["emotion"] not in probabilities:
        raise ValueError("an answer has no emotions")
    uncertain = line.get("uncertain")
    if uncertain is not None and not isinstance(uncertain, bool):
        raise ValueError("`uncertain` is neither true nor false")
    affect = {str(key): _parse_number(line[key], -1.0) for key in AFFECT if key in line}
    return Answer(name, line["emotion"], probabilities, uncertain, affect)


def _parse_number(value: Any, least: float) -> float:
    number = float(value)
    if not math.isfinite(number) or not least <= number <= 1:
        raise ValueError("a number is out of its range")
    return number
