"""From batches to probabilities."""
