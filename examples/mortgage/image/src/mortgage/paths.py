"""Where Seatrial puts inputs, outputs and parameters: environment variables."""

import os
from pathlib import Path


def input_path(name: str) -> Path:
    """Return the path of an input."""
    return Path(os.environ[f"INPUT_{name}"])


def output_path(name: str) -> Path:
    """Return the path of an output."""
    return Path(os.environ[f"OUTPUT_{name}"])


def parameter(name: str) -> str:
    """Return the value of a parameter."""
    return os.environ[f"PARAM_{name}"]
