"""Sweeps: many trainings over a search space, by sweepers of Hydra."""
