"""Trackers: what a run directory holds, told to TensorBoard, W&B and MLflow by a process beside the training."""
