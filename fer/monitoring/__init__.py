"""Monitoring of batches: drift from the training data, and metrics against ground truth."""
