"""File names of a run directory: a contract with its readers, and this is the one place that spells them.

It stands in ``core`` because rooms on every level read runs: ``config`` compares them, ``trackers`` follow them.
"""

# Every run.
RUN_YAML = "run.yaml"
PROVENANCE_JSON = "provenance.json"
LOCK_FILE = ".lock"
REPORT_HTML = "report.html"

# A training.
METRICS_JSON = "metrics.json"
HISTORY_CSV = "history.csv"
MANIFEST_PARQUET = "manifest.parquet"
EXCLUSIONS_PARQUET = "exclusions.parquet"
LABEL_ISSUES_CSV = "label_issues.csv"
LABEL_ISSUES_HTML = "label_issues.html"
CHECKPOINTS_DIR = "checkpoints"
BEST_CKPT = "best.ckpt"
LAST_CKPT = "last.ckpt"
# The best one up to last.ckpt, while best.ckpt is of later.
PREVIOUS_BEST_CKPT = "previous_best.ckpt"
# The weights at an interruption before any epoch was finished.
UNFINISHED_CKPT = "unfinished.ckpt"
BUNDLE_DIR = "bundle"
TRACKERS_DIR = "trackers"
PROFILE_HTML = "profile.html"
PROFILE_TRACE_JSON = "profile_trace.json"
FAILURE_TXT = "failure.txt"

# The stage embed of a training: features, a row an image, what they are of, and the page.
EMBEDDINGS_NPY = "embeddings.npy"
EMBEDDINGS_PARQUET = "embeddings.parquet"
EMBEDDINGS_JSON = "embeddings.json"
EMBEDDINGS_HTML = "embeddings.html"

# A job of a sweep.
JOB_JSON = "job.json"
TRIAL_JSON = "trial.json"
PRUNED_JSON = "pruned.json"

# An export.
EXPORT_JSON = "export.json"

# An annotation: labels of each annotator, what people said, the table to train on, and how batches differ.
LABELS_TABLE = "labels"
CORRECTIONS_CSV = "corrections.csv"
FINAL_DATASET = "final_emotion_dataset.parquet"
AGREEMENT_CSV = "agreement.csv"
LABEL_MONITOR_CSV = "label_monitor_log.csv"
CORRECTIONS_HTML = "corrections.html"

# An analysis of videos: tables, and what was finished before them.
VIDEO_PREDICTIONS = "predictions"
VIDEOS_PARQUET = "videos.parquet"
PERSONS_TABLE = "persons"
MONITORING_JSON = "monitoring.json"
PARTS_DIR = "parts"
ANNOTATED_DIR = "annotated"
# Crops of faces, and beside them, where they are kept as a data set: a row a face, what is no face of it, and counts.
CROPS_DIR = "crops"
FACES_PARQUET = "faces.parquet"
LEFT_OUT_CSV = "left_out.csv"
DATASET_JSON = "dataset.json"
# Of a study: as it was understood, its page, and its tables.
STUDY_YAML = "study.yaml"
STUDY_HTML = "study.html"
STUDY_DIR = "study"
# While somebody is being forgotten: who, and how far that has come.
FORGET_JSON = ".forget.json"
# Below PARTS_DIR: what the model's own files say of it.
PERFORMANCE_JSON = "performance.json"
UNCERTAINTY_JSON = "uncertainty.json"


def format_predictions_name(split: str) -> str:
    """Name of the table of a training's predictions of ``val`` or ``test``."""
    return f"predictions_{split}.parquet"
