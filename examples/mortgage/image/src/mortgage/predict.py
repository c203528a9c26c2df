"""Asks a served model about two applications by the Open Inference Protocol v2, and prints request and response."""

import json
import sys
import time
import urllib.error
import urllib.request

from mortgage.data import FEATURES

APPLICATIONS = [
    # A small loan for a modest house, by an applicant without debts or blemishes.
    {"dir": 0.25, "hir": 0.20, "lvr": 0.60, "ccs": 1, "mcs": 1, "uria": 3.2},
    # A large loan for an indebted applicant with a bad record whose insurance was denied.
    {"dir": 0.60, "hir": 0.40, "lvr": 0.95, "ccs": 6, "mcs": 3, "uria": 3.2, "pbcr": 1, "dmi": 1, "single": 1},
]


def build_request() -> dict[str, object]:
    """Build the request: one row for each application, probabilities and decisions wanted."""
    rows = [float(application.get(feature, 0)) for application in APPLICATIONS for feature in FEATURES]
    inputs = {"name": "applications", "shape": [len(APPLICATIONS), len(FEATURES)], "datatype": "FP64", "data": rows}
    return {"inputs": [inputs], "outputs": [{"name": "predict_proba"}, {"name": "predict"}]}


def ask(url: str, body: str, patience: float = 15) -> str:
    """Post JSON and return the answer; connect again for some seconds, as a new Service reaches nodes in a moment."""
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                text: str = answer.read().decode()
                print(f"{answer.status} {answer.reason}\n{text}\n")
                return text
        except urllib.error.HTTPError:
            raise  # An answer, which would be the same again.
        except OSError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def main() -> None:
    """Ask the service whose URL is given."""
    url = f"{sys.argv[1].rstrip('/')}/v2/models/mortgage-denial/infer"
    body = json.dumps(build_request())
    print(f"POST {url}\n{body}\n")
    text = ask(url, body)
    outputs = {output["name"]: output["data"] for output in json.loads(text)["outputs"]}
    probabilities, decisions = outputs["predict_proba"][1::2], outputs["predict"]
    for application, probability, warned in zip(APPLICATIONS, probabilities, decisions, strict=True):
        print(f"denied with probability {probability:.3f}, {'warned' if warned else 'not warned'}: {application}")


if __name__ == "__main__":
    main()
