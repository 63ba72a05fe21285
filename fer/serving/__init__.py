"""One predictor for every way of serving."""

from fer.bundle.predictor import Predictor

__all__ = ["Predictor"]
