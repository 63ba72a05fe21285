"""A small study with everything that is awkward: missing values, hostile names, two conditions, an excluded person."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer.reports.study_data import StudyData

MEASURES = ("happiness", "valence")
DEFINITIONS = {
    "happiness": ("Probability of happiness", "0 to 1"),
    "valence": ("How pleasant", "-1 to 1"),
    "people": ("Faces in the frame", "persons"),
}
HOSTILE = [
    "../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "a/b",
    "a b",
    "x" * 300,
    "x" * 300 + "y",
    "\x00\x1b[2J\n\r",
    "漢字",
    "P1",
]
HOSTILE += ["p1", "01", "-->\n\nNOTE <b>&amp;", "..", "all", "\u202eevil\ufffe"]


def build_study(
    respondents: list[str],
    stimuli: list[str],
    groups: dict[str, list[object]],
    conditions: tuple[str, ...] = ("",),
    spread: bool = False,
) -> StudyData:
    """Made-up tables with every column of the contract; the last respondent has no consent, the first a gap.

    With ``spread`` each respondent sees one stimulus, otherwise all of them.
    """
    rng = np.random.default_rng(7)
    shown = {who: stimuli[number : number + 1] if spread else stimuli for number, who in enumerate(respondents)}
    seen = [(who, what, how) for who in respondents[:-1] for what in shown[who] for how in conditions]
    recordings = pd.DataFrame(
        [
            (f"{number:03d}.mp4", f"in/{who}.mp4", who, what, how, 1.0, 5.0, 21, 0.9, 1, 0.5, 1.0, True, "")
            for number, (who, what, how) in enumerate(seen)
        ]
        + [("no.mp4", "in/no.mp4", respondents[-1], stimuli[0], conditions[0], *[np.nan] * 7, False, "no consent")],
        columns=[
            *("recording", "file", "respondent", "stimulus", "condition", "onset_s", "offset_s", "frames"),
            *("usable_share", "tracking_losses", "brightness", "people", "included", "reason"),
        ],
    )
    frames, steps, values = [], [], []
    for number, (who, what, how) in enumerate(seen):
        # Frames of a camera: a quarter second apart with some unevenness, and a gap of a second.
        times = np.round(-0.5 + np.arange(20) * 0.25 + rng.uniform(-0.02, 0.02, 20), 6)
        for frame, time_s in enumerate(times):
            if not 8 <= frame < 12:
                face = rng.random(2) if frame % 5 else np.array([np.nan, np.nan])
                frames.append(
                    (f"{number:03d}.mp4", who, what, how, frame, time_s + 1, time_s, "ok" if frame % 5 else "no_face")
                    + (*face, 1.0)
                )
        for second in range(4):
            steps.append((who, what, how, float(second), *rng.random(2), 1.0, bool(second % 2)))
        for kind, segment in (("whole", "whole"), ("scene", "intro"), ("event", "intro")):
            for measure in MEASURES:
                values.append((who, what, how, kind, segment, measure, *rng.random(6)))
    values = [row if number else (*row[:6], np.nan, *row[7:]) for number, row in enumerate(values)]
    keys = ["stimulus", "condition"]
    first = stimuli[0] if stimuli else ""
    curves = [
        (what, how, "", "all", measure, float(second), 3, *rng.random(3), 0.5 if measure == "happiness" else np.nan)
        for what in stimuli
        for how in conditions
        for measure in MEASURES
        for second in range(4)
    ]
    moments = [
        (what, how, measure, rank, 0.2 + rank - 1, 0.5 + rank - 1, 1.1 + rank - 1, 0.9 - 0.1 * rank, 0.1, 0.95, 3)
        for what in stimuli
        for how in conditions
        for measure in MEASURES
        for rank in (1, 2)
    ]
    return StudyData(
        name="A study =1+1",
        measures=MEASURES,
        group_columns=tuple(groups),
        has_baseline=False,
        stimuli=pd.DataFrame(
            [(what, None if number else "in/ad.mp4", 4.0) for number, what in enumerate(stimuli)],
            columns=["stimulus", "file", "duration_s"],
        ),
        segments=pd.DataFrame(
            [
                (what, kind, name, start, end)
                for what in stimuli
                for kind, name, start, end in (
                    ("whole", "whole", 0.0, 4.0),
                    ("scene", "intro", 0.0, 2.0),
                    ("scene", "=end & <b>", 1.5, 4.0),
                    ("event", "intro", 1.0, 3.0),
                )
            ],
            columns=["stimulus", "kind", "segment", "start_s", "end_s"],
        ),
        respondents=pd.DataFrame(
            {"respondent": respondents, "consent": [True] * (len(respondents) - 1) + [False], **groups}
        ),
        recordings=recordings,
        frames=pd.DataFrame(
            frames,
            columns=[
                *("recording", "respondent", *keys, "frame", "recording_s", "time_s", "status", *MEASURES, "people"),
            ],
        ).pipe(_add_emotion),
        steps=pd.DataFrame(steps, columns=["respondent", *keys, "second", *MEASURES, "people", "leads_happiness"]),
        curves=pd.DataFrame(
            curves,
            columns=[
                *(*keys, "group_column", "group", "measure", "second", "respondents", "mean", "low", "high", "share"),
            ],
        ),
        segment_values=pd.DataFrame(
            values,
            columns=[
                *("respondent", *keys, "kind", "segment", "measure", "mean", "peak", "time_to_peak_s", "area"),
                *("change", "usable_share"),
            ],
        ),
        segment_summary=pd.DataFrame(
            [(first, "", "whole", "whole", "", "all", "valence", "mean", 3, 0.1, 0.05, 0.2)],
            columns=[
                *(*keys, "kind", "segment", "group_column", "group", "measure", "statistic", "respondents", "mean"),
                *("low", "high"),
            ],
        ),
        contrasts=pd.DataFrame(
            [("a against b", "between", "sex", "a", "b", first, "whole", "valence", 3, 3, *[0.25] * 15)],
            columns=[
                *("contrast", "kind", "factor", "a", "b", "stimulus", "segment", "measure", "n_a", "n_b", "mean_a"),
                *("mean_b", "difference", "difference_low", "difference_high", "p", "p_corrected", "p_smallest"),
                *("hedges_g", "hedges_g_low", "hedges_g_high", "cliffs_delta", "cliffs_delta_low"),
                *("cliffs_delta_high", "power"),
            ],
        ),
        clusters=pd.DataFrame(columns=["contrast", "stimulus", "measure", "start_s", "end_s", "mass", "p"]),
        mixed=pd.DataFrame(
            [("m", "valence", "sex[T.b]", 0.1, -0.1, 0.3, 0.2, 0.4)],
            columns=["contrast", "measure", "term", "estimate", "low", "high", "p", "p_corrected"],
        ),
        reliability=pd.DataFrame(
            [(first, "", "valence", 3, *[0.5] * 6, 0.1, np.inf)],
            columns=[
                *(*keys, "measure", "respondents", "split_half", "split_half_low", "split_half_high", "icc"),
                *("icc_low", "icc_high", "band", "needed_respondents"),
            ],
        ),
        moments=pd.DataFrame(
            moments,
            columns=[
                *(*keys, "measure", "rank", "start_s", "peak_s", "end_s", "value", "low", "high", "respondents"),
            ],
        ),
        norms=pd.DataFrame(columns=["stimulus", "segment", "measure", "value", "percentile", "studies", "stimuli"]),
        cautions=("Only three people.",),
    )


def list_files(directory: Path) -> dict[str, bytes]:
    """Every file below a directory and what it holds."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def _add_emotion(frames: pd.DataFrame) -> pd.DataFrame:
    """The column that stands behind the status."""
    frames.insert(frames.columns.tolist().index("status") + 1, "emotion", "neutral")
    return frames
