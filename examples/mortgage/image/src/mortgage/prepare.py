"""Cleans the raw applications, and keeps training and test data apart."""

import pandas as pd
from sklearn.model_selection import train_test_split

from mortgage.data import TARGET, clean, read_raw
from mortgage.paths import input_path, output_path, parameter


def split(table: pd.DataFrame, test_share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into training and test data, with the same share of denials in both."""
    train, test = train_test_split(table, test_size=test_share, random_state=seed, stratify=table[TARGET])
    return train.reset_index(drop=True), test.reset_index(drop=True)


def main() -> None:
    """Read the raw data, write both parts."""
    raw = read_raw(input_path("RAW"))
    table = clean(raw)
    train, test = split(table, float(parameter("TEST_SHARE")), int(parameter("SEED")))
    train.to_csv(output_path("TRAIN") / "train.csv", index=False)
    test.to_csv(output_path("TEST") / "test.csv", index=False)
    print(f"{len(raw)} applications, {len(table)} complete: {len(train)} to train, {len(test)} to test")


if __name__ == "__main__":
    main()
