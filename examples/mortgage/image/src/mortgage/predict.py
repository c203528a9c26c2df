"""Asks a served model about two applications by the Open Inference Protocol v2, and prints request and response."""

import json
import sys
import urllib.request

from mortgage.data import FEATURES

APPLICATIONS = [
    # A small loan for a modest house, by an applicant without debts or blemishes.
    {"dir": 0.25, "hir": 0.20, "lvr": 0.60, "ccs": 1, "mcs": 1, "uria": 3.2},
    # A large loan for an indebted applicant with a bad record whose insurance was denied.
    {"dir": 0.60, "hir": 0.40, "lvr": 0.95, "ccs": 6, "mcs": 3, "uria": 3.2, "pbcr": 1, "dmi": 1, "single": 1},
]


def request() -> dict[str, object]:
    """Build the request: one row for each application, probabilities wanted."""
    rows = [float(application.get(feature, 0)) for application in APPLICATIONS for feature in FEATURES]
    inputs = {"name": "applications", "shape": [len(APPLICATIONS), len(FEATURES)], "datatype": "FP64", "data": rows}
    return {"inputs": [inputs], "outputs": [{"name": "predict_proba"}]}


def main() -> None:
    """Ask the service whose URL is given."""
    url = f"{sys.argv[1].rstrip('/')}/v2/models/mortgage-denial/infer"
    body = json.dumps(request())
    print(f"POST {url}\n{body}\n")
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=20) as answer:
        text = answer.read().decode()
        print(f"{answer.status} {answer.reason}\n{text}\n")
    probabilities = json.loads(text)["outputs"][0]["data"][1::2]
    for application, probability in zip(APPLICATIONS, probabilities, strict=True):
        print(f"denied with probability {probability:.3f}: {application}")


if __name__ == "__main__":
    main()
