"""A model behind HTTP, and behind SageMaker's inference toolkit.

``Predictor`` is an alias of ``fer.bundle.predictor.Predictor`` for code that imports it from here.
"""

from fer.bundle.predictor import Predictor

__all__ = ["Predictor"]
