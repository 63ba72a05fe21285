"""What each column of a study's tables means, and in which unit."""

from typing import NamedTuple

TABLES = {
    "stimuli": "What was shown",
    "segments": "Whole, scenes and events of each stimulus",
    "respondents": "Who saw it",
    "recordings": "The videos of faces, how good they are, and which are left out",
    "frames": "A row a sampled frame of each included recording, with every measure",
    "steps": "A row a respondent and step, with every measure",
    "curves": "Mean over respondents at each step, with its band",
    "segment_values": "A row a respondent, segment and measure",
    "segment_summary": "The same over respondents",
    "contrasts": "What was compared, and what came out",
    "clusters": "When two differ: stretches of the cluster-based permutation test",
    "mixed": "Terms of the mixed models",
    "reliability": "How far the panel's curve would come again with another panel",
    "moments": "The strongest moments",
    "norms": "Where values lie among those of earlier studies",
    "study_long": "A row a respondent, step and measure, for statistics programs",
    "study_wide": "A row a respondent, for statistics programs",
    "bids_labels": "What the labels in bids/ stand for",
}


class Description(NamedTuple):
    """What a column means; the unit is "" for texts and plain figures, `{}` in it stands for the measure's."""

    meaning: str
    unit: str


# Of segment_values, and so of the wide table.
STATISTICS = {
    "mean": Description("mean over time", "{}"),
    "peak": Description("largest value", "{}"),
    "time_to_peak_s": Description("time from the beginning of the segment to its largest value", "s"),
    "area": Description("integral over time", "{} × s"),
    "change": Description("mean of the segment, less what it is compared with (see measures)", "{}"),
}
_OF_MEASURE, _P = "the measure's", "probability"
_COMMON = {
    "stimulus": ("What was shown, as the study's file names it", ""),
    "condition": ("How it was shown; empty where the study has no conditions", ""),
    "respondent": ("Who saw it, as the study's file names them", ""),
    "segment": ("Name of the scene or event; `whole` is the whole stimulus", ""),
    "measure": ("What was measured", ""),
    "second": ("Beginning of the step, from the onset of the stimulus", "s"),
    "group_column": ("Group column; empty where all respondents are meant", ""),
    "group": ("Its value; `all` is all respondents", ""),
    "respondents": ("Number of respondents with a value", "persons"),
    "mean": ("Mean over respondents", _OF_MEASURE),
    "low": ("Lower end of the 95 % interval of the mean", _OF_MEASURE),
    "high": ("Upper end of the 95 % interval of the mean", _OF_MEASURE),
    "contrast": ("What is compared, in words", ""),
    "p": ("Probability of such a difference, or a larger one, where there is none", _P),
    "p_corrected": ("The same, corrected for the number of tests", _P),
    "onset_s": ("When the stimulus begins, from the beginning of the recording", "s"),
    "offset_s": ("When the stimulus ends, from the beginning of the recording", "s"),
    "start_s": ("Beginning, from the onset of the stimulus", "s"),
    "end_s": ("End, from the onset of the stimulus", "s"),
    "recording": ("Name of the video in the emotion table", ""),
    "kind": ("`whole`, `scene` or `event`", ""),
}
_SPECIAL = {
    "stimuli": {
        "file": ("Its video; empty where there is none", ""),
        "duration_s": ("Its length", "s"),
    },
    "respondents": {"consent": ("Whether they agreed to be analysed; without it no recording is opened", "")},
    "recordings": {
        "file": ("The video, as the study's file names it", ""),
        "frames": ("Sampled frames between onset and offset", "frames"),
        "usable_share": ("Share of these frames with a usable face", "0 to 1"),
        "tracking_losses": ("How often the face was lost and found again", "times"),
        "brightness": ("Mean brightness of the face", "0 to 1"),
        "people": ("Mean number of faces in a frame", "persons"),
        "included": ("Whether it is part of the analysis", ""),
        "reason": ("Why it is not", ""),
    },
    "frames": {
        "frame": ("Index of the frame in the video, from 0", "frames"),
        "recording_s": ("When, from the beginning of the recording", "s"),
        "time_s": ("When, from the onset of the stimulus; negative before it", "s"),
        "status": ("`ok`, `no_face`, `low_quality` or `decode_error`", ""),
        "emotion": ("The emotion that leads after smoothing, before any baseline is subtracted", ""),
    },
    "curves": {
        "low": ("Lower end of the 95 % band of the mean", _OF_MEASURE),
        "high": ("Upper end of the 95 % band of the mean", _OF_MEASURE),
        "share": ("Share of the respondents in whom the emotion leads; empty for other measures", "0 to 1"),
    },
    "segment_values": {
        **{name: (text[0].upper() + text[1:], unit.format(_OF_MEASURE)) for name, (text, unit) in STATISTICS.items()},
        "usable_share": ("Share of the segment's frames with a usable face", "0 to 1"),
    },
    "segment_summary": {
        "statistic": ("Which figure of segment_values is summarised", ""),
        "mean": ("Mean over respondents", "the statistic's"),
        "low": ("Lower end of the 95 % interval of the mean", "the statistic's"),
        "high": ("Upper end of the 95 % interval of the mean", "the statistic's"),
    },
    "contrasts": {
        "kind": ("`between` different people, or `within` the same", ""),
        "factor": ("Group column, `stimulus` or `condition`", ""),
        "a": ("One of its values", ""),
        "b": ("The other", ""),
        "n_a": ("Respondents with a", "persons"),
        "n_b": ("Respondents with b", "persons"),
        "mean_a": ("Mean over them", _OF_MEASURE),
        "mean_b": ("Mean over them", _OF_MEASURE),
        "difference": ("Mean with a, less mean with b", _OF_MEASURE),
        "difference_low": ("Lower end of its 95 % interval", _OF_MEASURE),
        "difference_high": ("Upper end of its 95 % interval", _OF_MEASURE),
        "p_smallest": ("The smallest p that so few respondents can give", _P),
        "hedges_g": ("Effect: the difference in standard deviations, corrected for small panels", "SD"),
        "hedges_g_low": ("Lower end of its 95 % interval", "SD"),
        "hedges_g_high": ("Upper end of its 95 % interval", "SD"),
        "cliffs_delta": ("Effect: how far more often a lies above b than below it", "from -1 to 1"),
        "cliffs_delta_low": ("Lower end of its 95 % interval", "from -1 to 1"),
        "cliffs_delta_high": ("Upper end of its 95 % interval", "from -1 to 1"),
        "power": ("Probability that a panel of this size finds the effect that the study's file states", _P),
    },
    "clusters": {
        "mass": ("Sum of the test statistic over the stretch", ""),
        "p": ("Probability of a stretch of such mass where there is no difference; over all steps", _P),
    },
    "mixed": {
        "term": ("Term of the model", ""),
        "estimate": ("Its coefficient", _OF_MEASURE),
        "low": ("Lower end of its 95 % interval", _OF_MEASURE),
        "high": ("Upper end of its 95 % interval", _OF_MEASURE),
    },
    "reliability": {
        "split_half": (
            "Correlation of the mean curves of two halves of the panel, for the whole of it",
            "from -1 to 1",
        ),
        "split_half_low": ("Lower end of its 95 % interval", "from -1 to 1"),
        "split_half_high": ("Upper end of its 95 % interval", "from -1 to 1"),
        "icc": ("Intraclass correlation of the panel's mean curve", "up to 1"),
        "icc_low": ("Lower end of its 95 % interval", "up to 1"),
        "icc_high": ("Upper end of its 95 % interval", "up to 1"),
        "band": ("Half the width of the mean curve's 95 % band, on average", _OF_MEASURE),
        "needed_respondents": ("How many respondents the wanted band needs", "persons"),
    },
    "moments": {
        "rank": ("Its place among the moments of this measure; 1 is the strongest", ""),
        "peak_s": ("When it is strongest, from the onset of the stimulus", "s"),
        "value": ("Mean over respondents at that time", _OF_MEASURE),
        "low": ("Lower end of the 95 % band of the mean at that time", _OF_MEASURE),
        "high": ("Upper end of the 95 % band of the mean at that time", _OF_MEASURE),
    },
    "norms": {
        "value": ("This study's mean", _OF_MEASURE),
        "percentile": ("Share of the earlier stimuli with a smaller value", "0 to 100"),
        "studies": ("Earlier studies that it is compared with", "studies"),
        "stimuli": ("Their stimuli", "stimuli"),
    },
    "study_long": {"value": ("Mean over the step", _OF_MEASURE)},
    "bids_labels": {
        "entity": ("What the label is for: `sub` a respondent, `task` a stimulus, `acq` a condition", ""),
        "name": ("As the study's file names it", ""),
        "label": ("As the names of the files in bids/ have it", ""),
    },
}


def describe_column(table: str, column: str) -> Description | None:
    """Look up a column that every study has; None where there is no such one."""
    found = _SPECIAL.get(table, {}).get(column) or _COMMON.get(column)
    return Description(*found) if found else None
