"""Compares what seatrial-evidence measures with scikit-learn and fairlearn, on seeded tables: agree.py PROGRAM."""

import base64
import hashlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate
from sklearn import metrics

PROGRAM = sys.argv[1]
# Both sides sum floating-point numbers in orders of their own, and the program rounds to twelve digits.
TOLERANCE = 1e-9
compared = 0


def judge(folder: Path, predictions: pd.DataFrame, labels: pd.DataFrame, kind: str, task: dict, slices: list) -> dict:
    """The message of a judge; predictions in one of three formats, labels as Parquet."""
    table = folder / "predictions"
    if kind == "csv":
        predictions.to_csv(table, index=False)
    elif kind == "gzip":
        predictions.to_csv(table, index=False, compression="gzip")
    else:
        predictions.to_parquet(table, index=False, compression=kind)
    (folder / "labels").mkdir()
    labels.to_parquet(folder / "labels" / "part.parquet", index=False)
    config = {
        "version": 2,
        "task": task,
        "predictions": str(table),
        "labels": {"folder": str(folder / "labels"), "id": "id", "label": "label"},
        "slices": slices,
    }
    log = folder / "log"
    environment = os.environ | {"SEATRIAL_CONFIG": json.dumps(config), "SEATRIAL_TERMINATION_LOG": str(log)}
    done = subprocess.run([PROGRAM, "judge"], env=environment, capture_output=True, text=True, check=False)
    message = json.loads(log.read_text())
    assert done.returncode == 0 and "unusable" not in message, (done.returncode, done.stderr, message)
    # Near its bounds a message may have been thinned.
    folds, points = Counts(message).read()
    most = max([len(points), *(len(fold[2]) for fold in folds)])
    groups = [[slice_name, value] for slice_name, values in message.get("g", []) for value in values]
    return message | {"f": folds, "c": points, "g": groups, "thinned": log.stat().st_size > 3800 or most >= 48}


class Counts:
    """The counts of a message, each in as many bits as its bound takes: what core/src/contract/counts.rs writes."""

    def __init__(self, message: dict) -> None:
        packed = base64.urlsafe_b64decode(message.get("b", "") + "=" * (-len(message.get("b", "")) % 4))
        self.bits = "".join(f"{byte:08b}" for byte in packed)
        self.rows = message.get("n", 0)
        self.slices = [len(values) for _, values in message.get("g", [])]

    def number(self, bound: int) -> int:
        length = bound.bit_length()
        here, self.bits = self.bits[:length], self.bits[length:]
        return int(here or "0", 2)

    def pair(self, bounds: list) -> list:
        return [self.number(bound) for bound in bounds]

    def parts(self, whole: list, most: list | None) -> list:
        """A pair for each group: those of a slice share the whole, and what can only be one number takes no bit."""
        parts: list = []
        for groups in self.slices:
            rest = list(whole)
            bounds = [whole] * groups if most is None else most[len(parts) : len(parts) + groups]
            everything = [sum(bound[which] for bound in bounds) for which in range(2)] == list(whole)
            for place, bound in enumerate(bounds):
                if everything or place + 1 == groups:
                    part = list(bound) if everything else rest
                else:
                    part = self.pair([min(one) for one in zip(rest, bound, strict=True)])
                parts.append(part)
                rest = less(rest, part)
        return parts

    def threshold(self) -> str:
        return repr(struct.unpack(">d", self.number(2**64 - 1).to_bytes(8, "big"))[0])

    def read(self) -> tuple:
        """The folds (rows, groups flat, points) and the points of the curve."""
        if not self.bits:
            return [], []
        known = []
        for _ in range(self.number(2)):
            rows = self.pair([self.rows] * 2)
            known.append((rows, self.parts(rows, None)))
        folds = []
        for number, (rows, groups) in enumerate(known):
            other = known[1 - number][0] if len(known) == 2 else [0, 0]
            points, choosing, counted, before = [], [0, 0], [0, 0], [[0, 0]] * len(groups)
            for _ in range(self.number(48)):
                threshold = self.threshold() if self.number(1) else None
                choosing = add(choosing, self.pair(less(other, choosing)))
                more = self.pair(less(rows, counted))
                counted = add(counted, more)
                most = [less(all_, one) for all_, one in zip(groups, before, strict=True)]
                before = [add(one, part) for one, part in zip(before, self.parts(more, most), strict=True)]
                points.append((threshold, choosing, counted, sum(before, [])))
            folds.append((rows, sum(groups, []), points))
        everybody = [sum(rows[which] for rows, _ in known) for which in range(2)]
        curve, flagged = [], [0, 0]
        for _ in range(self.number(48)):
            threshold = self.threshold()
            flagged = add(flagged, self.pair(less(everybody, flagged)))
            curve.append((threshold, *flagged))
        return folds, curve


def add(one: list, other: list) -> list:
    """Both pairs together."""
    return [a + b for a, b in zip(one, other, strict=True)]


def less(one: list, other: list) -> list:
    """What a pair has beyond another."""
    return [a - b for a, b in zip(one, other, strict=True)]


def agree(what: str, ours: object, theirs: object) -> None:
    """Ends where they do not."""
    global compared
    compared += 1
    ours, theirs = float(ours), float(theirs)
    if not math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        sys.exit(f"{what}: {ours!r} is not {theirs!r}")


def delong(labels: np.ndarray, scores: np.ndarray) -> float:
    """The standard error of the area, from all pairs."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    return math.sqrt(wins.mean(1).var(ddof=1) / wins.shape[0] + wins.mean(0).var(ddof=1) / wins.shape[1])


def calibration(labels: np.ndarray, scores: np.ndarray) -> float:
    """Bins of equal mass, equal scores together."""
    error = 0.0
    place = (pd.Series(scores).rank(method="average") - 0.5) / len(scores)
    bins = np.floor(10 * place + 1e-12).astype(int)
    for number in range(10):
        inside = (bins == number).to_numpy()
        error += abs(scores[inside].sum() - labels[inside].sum()) / len(scores)
    return error


def binary(case: int, kind: str, random: np.random.Generator) -> None:
    rows = int(random.integers(20, 4000))
    labels = random.random(rows) < random.uniform(0.05, 0.7)
    labels[:4] = [True, True, False, False]
    scores = 1 / (1 + np.exp(-(random.normal(size=rows) + 1.5 * labels)))
    if case % 3 == 0:
        scores = np.round(scores, 2)
    labels = labels.astype(int)
    frame = pd.DataFrame({"id": [f"c{n}" for n in range(rows)], "score": scores, "label": labels})
    frame["group"] = random.choice(["a", "b", "c"], rows)
    with tempfile.TemporaryDirectory() as folder:
        task = {"type": "BinaryClassification", "positiveLabel": "1"}
        predictions = frame[["id", "score"]].sample(frac=1, random_state=case)
        message = judge(Path(folder), predictions, frame[["id", "label", "group"]], kind, task, ["group"])
    found = {name: (value, error) for name, value, error in message["m"]}
    agree("rocAuc", found["rocAuc"][0], metrics.roc_auc_score(labels, scores))
    agree("rocAuc's error", found["rocAuc"][1], delong(labels, scores))
    agree("prAuc", found["prAuc"][0], metrics.average_precision_score(labels, scores))
    agree("logLoss", found["logLoss"][0], metrics.log_loss(labels, scores))
    squares = (scores - labels) ** 2
    agree("brier", found["brier"][0], metrics.brier_score_loss(labels, scores))
    agree("brier's error", found["brier"][1], squares.std(ddof=1) / math.sqrt(rows))
    agree("calibrationError", found["calibrationError"][0], calibration(labels, scores))
    folds(message, frame)
    curve(message, labels, scores, random)


def folds(message: dict, frame: pd.DataFrame) -> None:
    """Counts at 0.5, by fold and group, beside fairlearn's rates."""
    parity = frame["id"].map(lambda text: hashlib.sha256(text.encode()).digest()[0] % 2)
    for number, (rows, groups, points) in enumerate(message["f"]):
        part = frame[parity == number]
        agree("positives", rows[0], part["label"].sum())
        agree("negatives", rows[1], (1 - part["label"]).sum())
        for threshold, choosing, counted, _ in points:
            for which, flagged in ((number, counted), (1 - number, choosing)):
                chosen = frame[(parity == which) & (frame["score"] >= float(threshold))]
                agree("flagged", flagged[0], chosen["label"].sum())
                agree("flagged", flagged[1], (1 - chosen["label"]).sum())
        half = next(point for point in points if point[0] is not None and float(point[0]) == 0.5)
        rates = MetricFrame(
            metrics={"recall": true_positive_rate, "false": false_positive_rate},
            y_true=part["label"],
            y_pred=(part["score"] >= 0.5).astype(int),
            sensitive_features=part["group"],
        ).by_group
        for place, (_, value) in enumerate(message["g"]):
            for which, rate in enumerate(("recall", "false")):
                total = groups[2 * place + which]
                if total:
                    agree(f"{rate} of {value}", half[3][2 * place + which] / total, rates.loc[value, rate])


def curve(message: dict, labels: np.ndarray, scores: np.ndarray, random: np.random.Generator) -> None:
    """Whatever errors cost, the cheapest threshold is on the curve, or close to what was left out for want of room."""
    points = message["c"]
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    positives, negatives = labels.sum(), (1 - labels).sum()
    for _ in range(50):
        of_false, of_missed = random.lognormal(size=2)
        cheapest = (of_false * false * negatives + of_missed * (1 - true) * positives).min()
        ours = min(of_false * f + of_missed * (positives - t) for _, t, f in points)
        bound = 0.05 * cheapest if message["thinned"] else TOLERANCE
        if not cheapest - TOLERANCE <= ours <= cheapest + bound:
            sys.exit(f"curve: {ours} is not {cheapest}, with {len(points)} points")


def regression(kind: str, random: np.random.Generator) -> None:
    rows = int(random.integers(3, 3000))
    labels = random.normal(10, 4, rows)
    predictions = labels + random.normal(0, 2, rows)
    frame = pd.DataFrame({"id": np.arange(rows), "prediction": predictions, "label": labels})
    with tempfile.TemporaryDirectory() as folder:
        message = judge(Path(folder), frame[["id", "prediction"]], frame[["id", "label"]], kind, {"type": "Regression"}, [])
    found = {name: value for name, value, _ in message["m"]}
    agree("mae", found["mae"], metrics.mean_absolute_error(labels, predictions))
    agree("rmse", found["rmse"], metrics.root_mean_squared_error(labels, predictions))
    agree("mape", found["mape"], metrics.mean_absolute_percentage_error(labels, predictions))
    agree("r2", found["r2"], metrics.r2_score(labels, predictions))
    # Gates make the pinball loss of these two means, at whatever quantile they ask for (core/src/gates/pinball.rs).
    errors = {name: float(error) for name, _, error in message["m"] if error}
    low, high = float(found["underprediction"]), float(found["overprediction"])
    for quantile in (0.05, 0.5, 0.9):
        rest = 1 - quantile
        loss = quantile * low + rest * high
        agree("pinball", loss, metrics.mean_pinball_loss(labels, predictions, alpha=quantile))
        covariance = -low * high / (rows - 1)
        square = (quantile * errors["underprediction"]) ** 2 + (rest * errors["overprediction"]) ** 2
        losses = np.maximum(quantile * (labels - predictions), -rest * (labels - predictions))
        ours = math.sqrt(square + 2 * quantile * rest * covariance)
        agree("pinball's error", ours, losses.std(ddof=1) / math.sqrt(rows))


def main() -> None:
    for case, kind in enumerate(["csv", "gzip", "snappy", "zstd", "gzip", "csv"] * 5):
        random = np.random.default_rng(case)
        binary(case, kind, random)
        regression(kind, random)
    print(f"agreement: {compared} numbers agree with scikit-learn and fairlearn")


main()
