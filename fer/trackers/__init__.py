"""Trackers: a background process logs what a run directory holds to TensorBoard, W&B and MLflow."""
