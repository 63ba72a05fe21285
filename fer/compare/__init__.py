"""Comparison of runs: read from their directories, set side by side, tested against each other."""
