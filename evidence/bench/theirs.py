"""What a person would write with pandas, scikit-learn and fairlearn: theirs.py PREDICTIONS LABELS.

It measures less than seatrial-evidence does: no standard errors, no folds by a hash, no hull. Where there are several
ways, it takes the fast one.
"""

import sys

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate
from sklearn import metrics


def read(path: str) -> pd.DataFrame:
    return pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path, engine="pyarrow")


def main(predictions: str, labels: str) -> None:
    # An inner join by ids that are unique, whose result must have every row of both.
    left, right = read(labels), read(predictions)
    rows = left.merge(right, on="id", validate="one_to_one")
    if not len(rows) == len(left) == len(right):
        sys.exit("ids are missing")
    truth, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    print("rocAuc", metrics.roc_auc_score(truth, scores))
    print("prAuc", metrics.average_precision_score(truth, scores))
    print("logLoss", metrics.log_loss(truth, scores))
    print("brier", metrics.brier_score_loss(truth, scores))
    order = np.argsort(scores)
    bins = np.array_split(scores[order] - truth[order], 10)
    print("calibrationError", sum(abs(part.sum()) for part in bins) / len(rows))
    false, _, _ = metrics.roc_curve(truth, scores)
    print("points", len(false))
    rates = MetricFrame(
        metrics={"recall": true_positive_rate, "false": false_positive_rate},
        y_true=truth,
        y_pred=(scores >= 0.5).astype(int),
        sensitive_features=rows["group"],
    )
    print(rates.by_group)


main(*sys.argv[1:])
