"""One predictor for every way of serving."""

from fer.serving.predictor import Predictor

__all__ = ["Predictor"]
