"""What an annotator says of a face."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Probabilities in tables; what arithmetic leaves behind that depends on the machine.
DECIMALS = 6


@dataclass(frozen=True)
class Judgement:
    """What an annotator says of a face.

    Attributes:
        label: The emotion; "" where it gave none.
        confidence: Probability of the label.
        probabilities: Of each emotion that it knows; sums to 1.
        age: Years; None where it was not asked.
        gender: ``woman`` or ``man``; "" where it was not asked.
        gender_confidence: Probability of the gender.
        problem: Why there is no label; "" where there is one.
    """

    label: str = ""
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    age: float | None = None
    gender: str = ""
    gender_confidence: float | None = None
    problem: str = ""

    @classmethod
    def from_probabilities(
        cls,
        probabilities: Mapping[str, float],
        age: float | None = None,
        gender: str = "",
        gender_confidence: float | None = None,
    ) -> "Judgement":
        """The judgement whose label is the most probable emotion."""
        label = max(probabilities, key=lambda name: probabilities[name])
        return cls(label, probabilities[label], probabilities, age, gender, gender_confidence)
