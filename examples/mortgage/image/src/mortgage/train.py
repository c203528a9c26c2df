"""Trains gradient-boosted trees, and writes them as MLServer reads them."""

import argparse
import json
from pathlib import Path

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from mortgage.data import FEATURES, TARGET
from mortgage.paths import input_path, output_path, parameter

MODEL_NAME = "mortgage-denial"

RUNTIME = "mortgage.serve.Denial"
"""The class that MLServer loads."""


def fit(table: pd.DataFrame, learning_rate: float, seed: int) -> HistGradientBoostingClassifier:
    """Fit the model; the same table, rate and seed give the same model."""
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_iter=80, max_leaf_nodes=8, random_state=seed
    )
    return model.fit(table[FEATURES].to_numpy(), table[TARGET].to_numpy())


def write(model: HistGradientBoostingClassifier, folder: Path) -> None:
    """Write the model and the settings by which MLServer finds it."""
    joblib.dump(model, folder / "model.joblib", compress=3)
    settings = {
        "name": MODEL_NAME,
        "implementation": RUNTIME,
        "parameters": {"uri": "./model.joblib"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=2))


def main() -> None:
    """Read the training data, write the model."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--learning-rate", type=float, required=True)
    rate = arguments.parse_args().learning_rate
    table = pd.read_csv(input_path("TRAIN") / "train.csv")
    write(fit(table, rate, int(parameter("SEED"))), output_path("MODEL"))
    print(f"trained on {len(table)} applications with learning rate {rate}")


if __name__ == "__main__":
    main()
