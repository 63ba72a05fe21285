"""Faces classified in batches by the packaged model, here or in SageMaker."""
