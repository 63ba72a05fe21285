"""Metrics and their uncertainty, from NumPy and SciPy alone."""
