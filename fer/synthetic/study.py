"""`python -m fer.synthetic.study DIR`: a drawn study, whose reactions are known: faces of a panel, stimuli, study.yaml.

Two spots are shown to two groups of customers. Everyone smiles at spot A's logo, one group alone is surprised at its
twist, everyone is surprised at spot B's turn; nothing else happens to more than one person at a time.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer.core.installation import format_command, format_documentation, get_program_name
from fer.core.io import write_text
from fer.core.progress import track_progress
from fer.synthetic.actions import PROTOTYPES, FaceActions, sample_actions
from fer.synthetic.identity import Identity
from fer.synthetic.study_videos import Reaction, Sitting, write_sitting, write_stimulus

STUDY_YAML, TRUTH_JSON = "study.yaml", "truth.json"
SPOTS = ("spot_a", "spot_b")
CUSTOMERS = ("loyal", "new")
AGES = ("18-29", "30-49", "50+")
# Respondents by their number, counted from zero: one whose recording of spot A is dark, one out of the frame in spot B.
DARK, AWAY = 1, 2
SMALLEST_PANEL, SHORTEST_S = 4, 12.0
# Where in a spot they happen, fractions of its length.
LOGO, TURN, TWIST = 1 / 3, 1 / 2, 7 / 12
REACTION = 1 / 8  # how long a reaction lasts, fraction of the spot's length
EVENTS = {"spot_a": {"logo": LOGO, "twist": TWIST}, "spot_b": {"logo": LOGO, "turn": TURN}}
SCENES = {
    "spot_a": (("opening", 0.0, 0.25), ("product", 0.25, 0.55), ("ending", 0.55, 1.0)),
    "spot_b": (("street", 0.0, 0.45), ("kitchen", 0.45, 0.75), ("packshot", 0.75, 1.0)),
}
_BASELINE_S = 2.0
_SPONTANEOUS = ("happiness", "disgust", "surprise")  # what somebody shows once, at any time


@dataclass(frozen=True)
class PlantedReaction:
    """What is known to be in the recordings: who shows what when, seconds of the stimulus."""

    stimulus: str
    event: str
    emotion: str
    start_s: float
    end_s: float
    customer: str | None  # None is everyone


def write_study(
    directory: Path, count: int = 24, seconds: float = 24.0, size: int = 144, fps: int = 4, seed: int = 0
) -> Path:
    """Draw a study: recordings of a panel, two stimuli, study.yaml, and truth.json with what is to be found.

    The last respondent has not consented. Of the second, the recording of spot A is mostly dark; the third is mostly
    out of the frame in that of spot B. What comes before the onset differs in length.

    Args:
        directory: Where it is written.
        count: Respondents, half of them loyal customers, half new ones; 4 or more.
        seconds: Length of a spot; 12 or more.
        size: Height of a recording, pixels.
        fps: Frames a second of the recordings; sample them so densely.
        seed: Number of the study.

    Returns:
        The path of study.yaml.

    Raises:
        ValueError: Too few respondents, or too short or too small.

    Examples:
        >>> write_study(Path("drawn-study"), count=8)
        PosixPath('drawn-study/study.yaml')
    """
    if count < SMALLEST_PANEL or seconds < SHORTEST_S or size < 64 or fps < 1:
        raise ValueError(
            f"count must be at least {SMALLEST_PANEL}, seconds {SHORTEST_S:g}, size 64 and fps 1, "
            f"not {count}, {seconds:g}, {size} and {fps}"
        )
    for spot in SPOTS:
        cuts = [start * seconds for _, start, _ in SCENES[spot][1:]]
        write_stimulus(directory / "stimuli" / f"{spot}.mp4", seconds, cuts, _time_events(spot, seconds), seed)
    recordings = []
    sittings = [(number, spot) for number in range(count) for spot in SPOTS]
    for number, spot in track_progress(sittings, len(sittings), "Recordings", "videos"):
        sitting = plan_sitting(number, spot, seconds, seed)
        file = f"recordings/{name_respondent(number)}_{spot}.mp4"
        write_sitting(directory / file, sitting, size, fps)
        onset = {"onset_s": sitting.onset_s}
        recordings.append({"file": file, "respondent": name_respondent(number), "stimulus": spot, **onset})
    write_text(directory / TRUTH_JSON, json.dumps(_describe_truth(count, seconds), indent=2) + "\n")
    text = yaml.safe_dump(_describe_study(count, seconds, recordings), sort_keys=False, allow_unicode=True)
    write_text(directory / STUDY_YAML, text)
    return directory / STUDY_YAML


def name_respondent(number: int) -> str:
    """The id of a respondent, counted from zero."""
    return f"r{number + 1:02d}"


def list_planted_reactions(seconds: float) -> list[PlantedReaction]:
    """What the recordings of a study with spots of this length hold. Nobody reacts to spot B's logo."""
    planted = (
        ("spot_a", "logo", "happiness", LOGO, None),
        ("spot_a", "twist", "surprise", TWIST, CUSTOMERS[0]),
        ("spot_b", "turn", "surprise", TURN, None),
    )
    return [
        PlantedReaction(spot, event, emotion, round(at * seconds, 2), round((at + REACTION) * seconds, 2), customer)
        for spot, event, emotion, at, customer in planted
    ]


def plan_sitting(number: int, spot: str, seconds: float, seed: int) -> Sitting:
    """One respondent before one spot: what the face does when, with all the noise that people have."""
    person = np.random.default_rng((seed, number))
    identity, rest = Identity.sample(person), sample_actions("neutral", 0.0, person)
    # With closed lips it hardly shows behind a beard.
    smile = int(person.integers(1, len(PROTOTYPES["happiness"])))
    rng = np.random.default_rng((seed, number, SPOTS.index(spot)))
    onset = round(float(rng.uniform(_BASELINE_S + 0.5, _BASELINE_S + 3.0)), 2)
    reactions = []
    for planted in list_planted_reactions(seconds):
        if planted.stimulus == spot and planted.customer in (None, _get_customer(number)):
            delay, shorter = rng.uniform(0.2, 0.7), rng.uniform(0.0, 0.5)
            face = _pick_face(planted.emotion, smile, rng.uniform(0.85, 1.0))
            start, end = (onset + delay + second for second in (planted.start_s, planted.end_s - shorter))
            reactions.append(Reaction(start, end, face))
    start = onset + rng.uniform(0.5, seconds - 1.5)
    emotion = _SPONTANEOUS[rng.integers(len(_SPONTANEOUS))]
    # Behind what is planted: that stays as it is where they meet.
    reactions.append(Reaction(start, start + rng.uniform(0.4, 1.0), _pick_face(emotion, smile, rng.uniform(0.5, 0.9))))
    lost = (onset + 0.1 * seconds, onset + 0.95 * seconds)
    return Sitting(
        identity,
        rest,
        tuple(reactions),
        seconds=round(onset + seconds + float(rng.uniform(0.5, 1.5)), 2),
        onset_s=onset,
        phase=float(rng.uniform(0.0, 2 * np.pi)),
        dark=lost if (number, spot) == (DARK, SPOTS[0]) else None,
        away=lost if (number, spot) == (AWAY, SPOTS[1]) else None,
        seed=int(rng.integers(2**31)),
    )


def _pick_face(emotion: str, variant: int, intensity: float) -> FaceActions:
    """A person's way to show an emotion. Eyes and mouth wide open is the surprise that models read best."""
    index = {"happiness": variant, "surprise": 1}.get(emotion, 0)
    return FaceActions().interpolate(PROTOTYPES[emotion][index], intensity)


def _get_customer(number: int) -> str:
    return CUSTOMERS[number % len(CUSTOMERS)]


def _time_events(spot: str, seconds: float) -> dict[str, float]:
    return {name: round(at * seconds, 2) for name, at in EVENTS[spot].items()}


def _describe_study(count: int, seconds: float, recordings: list[dict[str, Any]]) -> dict[str, Any]:
    """What study.yaml says."""
    stimuli = {
        spot: {
            "file": f"stimuli/{spot}.mp4",
            "duration_s": seconds,
            "events": [
                {"name": name, "time_s": at, "end_s": round(at + REACTION * seconds, 2)}
                for name, at in _time_events(spot, seconds).items()
            ],
            "scenes": [
                {"name": name, "start_s": round(start * seconds, 2), "end_s": round(end * seconds, 2)}
                for name, start, end in SCENES[spot]
            ],
        }
        for spot in SPOTS
    }
    respondents = {
        name_respondent(number): {
            "consent": number != count - 1,
            "groups": {"customer": _get_customer(number), "age": AGES[number // 2 % len(AGES)]},
        }
        for number in range(count)
    }
    measures = ["happiness", "surprise"]
    return {
        "name": "Two drawn spots",
        "stimuli": stimuli,
        "respondents": respondents,
        "recordings": recordings,
        "baseline": {"start_s": -_BASELINE_S, "end_s": 0.0},
        "contrasts": [
            {"kind": "between", "factor": "customer", "a": CUSTOMERS[0], "b": CUSTOMERS[1], "measures": measures},
            {"kind": "within", "factor": "stimulus", "a": SPOTS[0], "b": SPOTS[1], "measures": measures[:1]},
            {"kind": "mixed", "factors": ["stimulus", "customer"], "measures": measures},
        ],
        "measures": measures,
        "step_s": 1.0,
    }


def _describe_truth(count: int, seconds: float) -> dict[str, Any]:
    """What an analysis must find, and what it must leave out."""
    return {
        "planted": [asdict(planted) for planted in list_planted_reactions(seconds)],
        "without_consent": [name_respondent(count - 1)],
        "bad_recordings": [f"{name_respondent(DARK)}_{SPOTS[0]}.mp4", f"{name_respondent(AWAY)}_{SPOTS[1]}.mp4"],
        "differences": {
            "between": [{"stimulus": "spot_a", "measure": "surprise", "event": "twist", "higher": CUSTOMERS[0]}],
            "within": [{"measure": "happiness", "event": "logo", "higher": "spot_a"}],
        },
    }


def main() -> int:
    """Draw the study."""
    program = get_program_name("python -m fer.synthetic.study")
    parser = argparse.ArgumentParser(
        prog=program,
        description=format_documentation(__doc__),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a new directory for it")
    parser.add_argument("--count", type=int, default=24, help="respondents")
    parser.add_argument("--seconds", type=float, default=24.0, help="length of a spot, seconds")
    parser.add_argument("--size", type=int, default=144, help="height of a recording, pixels")
    parser.add_argument("--fps", type=int, default=4, help="frames a second")
    parser.add_argument("--seed", type=int, default=0, help="number of the study")
    args = parser.parse_args()
    if args.directory.exists() and (not args.directory.is_dir() or any(args.directory.iterdir())):
        print(f"{program}: {args.directory}: there is something already; name a new directory", file=sys.stderr)
        return 1
    try:
        path = write_study(args.directory, args.count, args.seconds, args.size, args.fps, args.seed)
    except (ValueError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    print(f"Study: {path}")
    print(f"What is in it: {path.with_name(TRUTH_JSON)}")
    named = shlex.quote(f"extraction.study={path}")
    print(f"Next: {format_command('infer.py')} {named} extraction.fps={args.fps}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
