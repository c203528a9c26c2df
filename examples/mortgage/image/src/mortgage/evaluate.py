"""Evaluates a model on data that it has not seen: numbers and a page for the team, and what the owner judges by.

The owner's applicants come without what became of them: this step says what the model says of each, no more.
"""

import json
from typing import Any

import joblib
import pandas as pd
from sklearn.metrics import accuracy_score, brier_score_loss, precision_score, recall_score, roc_auc_score

from mortgage.data import FEATURES, GROUP, ID, TARGET, numbers, read_raw
from mortgage.paths import input_path, output_path

THRESHOLD = 0.5
"""The probability from which an application counts as denied."""


def headline(table: pd.DataFrame, probability: Any) -> dict[str, float]:  # noqa: ANN401
    """Compute the numbers that gates may ask for."""
    predicted = probability >= THRESHOLD
    truth = table[TARGET]
    return {
        "auc": float(roc_auc_score(truth, probability)),
        "accuracy": float(accuracy_score(truth, predicted)),
        "precision": float(precision_score(truth, predicted, zero_division=0)),
        "recall": float(recall_score(truth, predicted, zero_division=0)),
        "brier": float(brier_score_loss(truth, probability)),
        "rows": float(len(table)),
    }


def by_group(table: pd.DataFrame, probability: Any) -> dict[str, dict[str, float]]:  # noqa: ANN401
    """Compute the same numbers for each group."""
    groups = {"black": table[GROUP] == 1, "others": table[GROUP] == 0}
    return {name: headline(table[mask], probability[mask.to_numpy()]) for name, mask in groups.items()}


def page(metrics: dict[str, float], groups: dict[str, dict[str, float]]) -> str:
    """Write a page for people."""
    columns = {"all": metrics, **groups}
    lines = ["# Evaluation", "", f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(f'{column[name]:.3f}' for column in columns.values())} |" for name in metrics]
    return "\n".join(lines) + "\n"


def scores(applicants: pd.DataFrame, model: Any) -> pd.DataFrame:  # noqa: ANN401
    """Say how likely each application is to be denied, as Seatrial's judge reads it."""
    probability = model.predict_proba(numbers(applicants, FEATURES).to_numpy())[:, 1]
    return pd.DataFrame({"id": applicants[ID], "score": probability})


def main() -> None:
    """Read model and data, write metrics, report and scores."""
    model = joblib.load(input_path("MODEL") / "model.joblib")
    table = pd.read_csv(input_path("TEST") / "test.csv")
    probability = model.predict_proba(table[FEATURES].to_numpy())[:, 1]
    metrics = headline(table, probability)
    output_path("METRICS").write_text(json.dumps(metrics))
    report = page(metrics, by_group(table, probability))
    (output_path("REPORT") / "report.md").write_text(report)
    scores(read_raw(input_path("APPLICANTS")), model).to_csv(output_path("SCORED"), index=False)
    print(report)


if __name__ == "__main__":
    main()
