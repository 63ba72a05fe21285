"""Classical classifiers on features, fitted by scikit-learn."""

import logging
import warnings
from typing import Any

import numpy as np

from fer.config.embedding_head import Head
from fer.errors import DataError

# A calibration of margins is fitted on answers to images that the machine was not fitted on.
SVM_FOLDS = 3
# With two classes scikit-learn has one score for both.
MIN_CLASSES = 3
log = logging.getLogger(__name__)


def fit_estimator(
    head: Head, features: np.ndarray, targets: np.ndarray, weights: np.ndarray, seed: int, threads: int
) -> Any:
    """Fit a classifier.

    An image whose annotators disagree stands once for each class that they name, with its share of the votes as its
    weight.

    Args:
        head: Kind and settings.
        features: (N, D) float32.
        targets: (N, classes) what each image counts for each class, 1 together.
        weights: (N,) what each image counts.
        seed: Of what is drawn.
        threads: CPU threads; sums depend on their number.

    Returns:
        A pipeline of scikit-learn, whose classes are the columns of ``targets`` that have images.

    Raises:
        DataError: Too few classes have images.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    rows, labels = np.nonzero(targets > 0)
    counts = np.bincount(labels, minlength=targets.shape[1])
    present = counts[counts > 0]
    if len(present) < MIN_CLASSES:
        raise DataError(f"model.kind=embedding_head needs images of {MIN_CLASSES} classes, not {len(present)}")
    pipeline = _build_pipeline(head, int(present.min()), seed)
    with threadpool_limits(threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        pipeline.fit(features[rows], labels, model__sample_weight=targets[rows, labels] * weights[rows])
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log.info("The fit ended at model.head.%s.max_iter, before it came to rest", head.kind)
    return pipeline


def _build_pipeline(head: Head, smallest: int, seed: int) -> Any:
    """The classifier with what its features need first; ``smallest`` is the number of images of the rarest class."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    if head.kind == "gradient_boosting":
        trees = head.gradient_boosting
        boosting = HistGradientBoostingClassifier(
            max_iter=trees.rounds,
            learning_rate=trees.lr,
            max_leaf_nodes=trees.max_leaf_nodes,
            max_depth=trees.max_depth,
            min_samples_leaf=trees.min_samples_leaf,
            l2_regularization=trees.l2,
            early_stopping=False,
            categorical_features=None,
            random_state=seed,
        )
        return Pipeline([("model", boosting)])
    if head.kind == "logistic":
        model = LogisticRegression(C=head.logistic.c, max_iter=head.logistic.max_iter)
    elif head.kind == "svm":
        if smallest < SVM_FOLDS:
            raise DataError(f"model.head.kind=svm needs {SVM_FOLDS} training images of each class; use another head")
        machine = LinearSVC(C=head.svm.c, max_iter=head.svm.max_iter, dual=False, random_state=seed)
        model = CalibratedClassifierCV(machine, cv=SVM_FOLDS, ensemble=False)
    else:
        model = MLPClassifier(
            (head.mlp.hidden,),
            alpha=head.mlp.alpha,
            learning_rate_init=head.mlp.lr,
            max_iter=head.mlp.max_iter,
            random_state=seed,
        )
    return Pipeline([("scaler", StandardScaler()), ("model", model)])
