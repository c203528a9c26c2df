"""The functions on small tables, and the three steps on the real data."""

import asyncio
import importlib
import json
import socket
import sys
import threading
import types
import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mortgage import data, decide, evaluate, export, predict, prepare, train


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the real data into a folder, as the first step finds it."""
    folder = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", str(folder)])
        export.main()
    for name in ("applicants", "labels"):
        (folder / name).mkdir()
        (folder / f"{name}.csv").rename(folder / name / f"{name}.csv")
    return folder


def test_the_data_is_what_it_is_said_to_be(raw: Path) -> None:
    """2,381 applications, of which one has missing values: half to train on, half to judge by."""
    table, labels = data.read_raw(raw), data.read_raw(raw / "labels")
    assert len(table) + len(labels) == 2381
    cleaned = data.clean(table)
    assert len(cleaned) == len(labels) == 1190
    assert cleaned[data.TARGET].sum() == pytest.approx(143, abs=2)
    assert set(cleaned[data.GROUP].unique()) == {0.0, 1.0}


def test_the_owners_half_is_apart_and_comes_without_its_labels(raw: Path) -> None:
    """No application is in both halves; applicants and labels are of the same ones."""
    table, applicants, labels = (data.read_raw(raw / name) for name in (".", "applicants", "labels"))
    assert not set(table[data.ID]) & set(labels[data.ID])
    assert list(applicants[data.ID]) == list(labels[data.ID])
    assert not {data.TARGET, data.GROUP} & set(applicants.columns)
    assert list(labels.columns) == [data.ID, data.TARGET, data.GROUP]


def test_data_without_a_column_is_refused() -> None:
    """The message names the column."""
    with pytest.raises(ValueError, match="lvr"):
        data.clean(pd.DataFrame({column: [1] for column in [*data.FEATURES, "black", "deny"] if column != "lvr"}))


def test_the_model_does_not_see_the_group() -> None:
    """Neither the group nor the target is a feature."""
    assert not {data.GROUP, data.TARGET} & set(data.FEATURES)


def test_training_and_test_data_are_apart(raw: Path) -> None:
    """No row is in both, and both have the same share of denials."""
    table = data.clean(data.read_raw(raw)).reset_index()
    first, second = prepare.split(table, 0.25, 7)
    assert not set(first["index"]) & set(second["index"])
    assert first[data.TARGET].mean() == pytest.approx(second[data.TARGET].mean(), abs=0.01)


def test_headline_metrics_of_a_perfect_and_a_blind_model() -> None:
    """A perfect model has area 1, a blind one a half."""
    table = pd.DataFrame({data.TARGET: [0, 0, 1, 1]})
    assert evaluate.headline(table, np.array([0.1, 0.2, 0.8, 0.9]))["auc"] == 1.0
    assert evaluate.headline(table, np.array([0.5, 0.5, 0.5, 0.5]))["auc"] == 0.5


def test_the_steps_run_one_after_the_other(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From raw data to metrics, twice the same."""
    results = []
    for attempt in ("first", "second"):
        folders = {name: tmp_path / attempt / name for name in ("TRAIN", "TEST", "MODEL", "REPORT")}
        for name, folder in folders.items():
            folder.mkdir(parents=True)
            monkeypatch.setenv(f"OUTPUT_{name}", str(folder))
            monkeypatch.setenv(f"INPUT_{name}", str(folder))
        metrics = tmp_path / attempt / "metrics.json"
        monkeypatch.setenv("OUTPUT_METRICS", str(metrics))
        scored = tmp_path / attempt / "scored"
        monkeypatch.setenv("OUTPUT_SCORED", str(scored))
        monkeypatch.setenv("INPUT_APPLICANTS", str(raw / "applicants"))
        monkeypatch.setenv("INPUT_RAW", str(raw))
        monkeypatch.setenv("PARAM_SEED", "7")
        monkeypatch.setenv("PARAM_TEST_SHARE", "0.25")
        monkeypatch.setattr(sys, "argv", ["train", "--learning-rate", "0.1"])
        for step in (prepare, train, evaluate):
            step.main()
        results.append((json.loads(metrics.read_text()), scored.read_text()))
        assert json.loads((folders["MODEL"] / "model-settings.json").read_text())["name"] == train.MODEL_NAME
    assert results[0] == results[1]
    assert results[0][0]["auc"] > 0.7
    assert results[0][1].count("\n") == 1191


class Scores:
    """A classifier whose probabilities are what it is asked."""

    def predict_proba(self, rows: list[float]) -> np.ndarray:
        """Return both classes' probabilities."""
        return np.array([[1 - row, row] for row in rows])


@pytest.mark.parametrize(
    ("told", "decided"), [("0.3", [0, 1, 1, 1]), ("0.30000000000000004", [0, 0, 1, 1]), (None, [0, 0, 1, 1])]
)
def test_the_server_decides_at_the_threshold_that_it_is_told(
    told: str | None, decided: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threshold itself counts as denied; without one it is a half."""
    if told is None:
        monkeypatch.delenv("SEATRIAL_THRESHOLD", raising=False)
    else:
        monkeypatch.setenv("SEATRIAL_THRESHOLD", told)
    model = decide.AtThreshold(Scores(), decide.threshold())
    assert model.predict([0.2, 0.3, 0.5, 0.9]).tolist() == decided


def test_what_mlserver_loads_decides_at_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLServer, which is not installed here, loads the model; the settings that `train` writes name the class."""

    class Loads:
        """MLServer's class, as far as it is used."""

        async def load(self) -> bool:
            """Load."""
            self._model = Scores()
            return True

    server = types.ModuleType("mlserver_sklearn")
    monkeypatch.setattr(server, "SKLearnModel", Loads, raising=False)
    monkeypatch.setitem(sys.modules, "mlserver_sklearn", server)
    monkeypatch.delitem(sys.modules, "mortgage.serve", raising=False)
    monkeypatch.setenv("SEATRIAL_THRESHOLD", "0.25")
    module, name = train.RUNTIME.rsplit(".", 1)
    model = getattr(importlib.import_module(module), name)()
    assert asyncio.run(model.load())
    assert model._model.predict([0.2, 0.25]).tolist() == [0, 1]


class Answers(BaseHTTPRequestHandler):
    """Answer a request for `/echo` with its body."""

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/echo" else 404)
        self.end_headers()
        self.wfile.write(body)


def test_the_client_waits_for_a_server_that_is_not_there_yet() -> None:
    """The port is refused at first; what is answered is not asked again."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(urllib.error.URLError):
        predict.ask(f"{url}/echo", "x", patience=0)

    servers: list[HTTPServer] = []

    def serve() -> None:
        servers.append(HTTPServer(("127.0.0.1", port), Answers))
        servers[0].serve_forever()

    threading.Timer(0.5, serve).start()
    assert predict.ask(f"{url}/echo", "hello") == "hello"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        predict.ask(f"{url}/other", "hello")
    servers[0].shutdown()
    servers[0].server_close()
