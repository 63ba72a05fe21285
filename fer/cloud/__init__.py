"""From a bundle to registered models and judged batches, on this machine and in AWS."""
