"""Writes seeded tables: tables.py FOLDER ROWS."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def tables(folder: Path, rows: int) -> None:
    """Predictions and labels as CSV and Parquet, in different orders. Integers as ids: pandas joins them fastest."""
    random = np.random.default_rng(7)
    ids = random.permutation(rows)
    labels = (random.random(rows) < 0.1).astype(np.int64)
    scores = 1 / (1 + np.exp(2 - random.normal(size=rows) - 1.5 * labels))
    of_labels = pd.DataFrame({"id": ids, "label": labels, "group": random.choice(["a", "b", "c"], rows)})
    order = random.permutation(rows)
    predictions = pd.DataFrame({"id": ids[order], "score": scores[order]})
    (folder / "csv").mkdir()
    (folder / "parquet").mkdir()
    predictions.to_csv(folder / "predictions.csv", index=False)
    of_labels.to_csv(folder / "csv" / "labels.csv", index=False)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    of_labels.to_parquet(folder / "parquet" / "labels.parquet", index=False)


tables(Path(sys.argv[1]), int(sys.argv[2]))
