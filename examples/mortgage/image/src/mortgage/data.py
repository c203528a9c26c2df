"""The applications: their columns, and what of them a model sees."""

from pathlib import Path

import pandas as pd

ID = "application"
"""What names an application."""

TARGET = "deny"
"""What is predicted: 1 where the application was denied."""

GROUP = "black"
"""The group that must not be treated worse. Models do not see it; evaluation does."""

NUMBERS = ["dir", "hir", "lvr", "ccs", "mcs", "uria"]
"""Debt to income, housing expense to income, loan to value, consumer and mortgage credit scores, unemployment."""

YES_OR_NO = ["pbcr", "dmi", "self", "single", "comdominiom"]
"""Public bad credit record, denied insurance, self-employed, single, condominium (spelt as in the data)."""

FEATURES = NUMBERS + YES_OR_NO
"""What a model sees, in the order in which a client sends it."""


def read_raw(folder: Path) -> pd.DataFrame:
    """Read the one CSV file in a folder."""
    files = sorted(folder.glob("*.csv"))
    if len(files) != 1:
        raise ValueError(f"{folder} has {len(files)} CSV files, expected one")
    return pd.read_csv(files[0])


def clean(raw: pd.DataFrame) -> pd.DataFrame:
    """Make every column a number, yes being 1, and leave out rows with missing values."""
    return numbers(raw, [*FEATURES, GROUP, TARGET]).dropna().reset_index(drop=True)


def numbers(raw: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Make these columns numbers, yes being 1."""
    missing = set(columns) - set(raw.columns)
    if missing:
        raise ValueError(f"the data lacks the columns {sorted(missing)}")
    table = raw[columns].copy()
    for column in {*YES_OR_NO, GROUP, TARGET} & set(columns):
        table[column] = table[column].map({"yes": 1.0, "no": 0.0, 1: 1.0, 0: 0.0, "1": 1.0, "0": 0.0})
    return table.astype(float)
