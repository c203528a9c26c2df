"""Serves a folder of files over HTTP: the pipeline's data source, where a team has none of its own."""

import signal
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType


def main() -> None:
    """Serve the folder that is given on port 8080 until told to stop."""
    # As process 1, Python would ignore the signal.
    signal.signal(signal.SIGTERM, stop)
    handler = partial(SimpleHTTPRequestHandler, directory=sys.argv[1])
    ThreadingHTTPServer(("", 8080), handler).serve_forever()


def stop(_signal: int, _frame: FrameType | None) -> None:
    """End at once: whoever reads tries again."""
    raise SystemExit(0)


if __name__ == "__main__":
    main()
