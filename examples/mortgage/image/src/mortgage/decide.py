"""Decides from which probability an application counts as denied: Seatrial tells the one that costs choose."""

import os
from typing import Any

DEFAULT = 0.5
"""The threshold where no costs choose one."""


def threshold() -> float:
    """Return the threshold that Seatrial tells."""
    return float(os.environ.get("SEATRIAL_THRESHOLD", DEFAULT))


class AtThreshold:
    """A classifier that takes a row for positive from a probability on, the threshold itself included."""

    def __init__(self, classifier: Any, threshold: float) -> None:  # noqa: ANN401
        """Take the classifier's probabilities."""
        self.classifier = classifier
        self.threshold = threshold

    def predict_proba(self, rows: Any) -> Any:  # noqa: ANN401
        """Return the probability of each class, by row."""
        return self.classifier.predict_proba(rows)

    def predict(self, rows: Any) -> Any:  # noqa: ANN401
        """Return 1 for each row that is taken for positive, else 0."""
        return (self.predict_proba(rows)[:, 1] >= self.threshold).astype(int)
