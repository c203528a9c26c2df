"""Sends a steady stream of predictions until its standard input ends, and counts what came back.

Arguments: URL, requests a second, keep-alive (on or off). Prints one JSON object. Failed requests are shown with the
moment at which they were sent and how long they took: a server that is slow and one that is gone are told apart.
"""

import http.client
import json
import select
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

URL, RATE, KEEP_ALIVE = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "on"
WORKERS = 16
# A node that stands still for a while is no failure of the service; who waits longer than this calls it one.
PATIENCE = 30.0
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 11], "datatype": "FP64", "data": [0.3] * 11}]})
HEADERS = {"Content-Type": "application/json", "Connection": "keep-alive" if KEEP_ALIVE else "close"}

counts: Counter[str] = Counter()
failures: list[str] = []
resends: list[bool] = []
slowest = 0.0
# The longest time in which no request was sent, and when the last one was.
pause = 0.0
last = time.monotonic()
lock = threading.Lock()
ended = threading.Event()


def connect() -> http.client.HTTPConnection:
    parts = urlsplit(URL)
    return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=PATIENCE)


def is_dropped(connection: http.client.HTTPConnection) -> bool:
    """Whether the server closed an idle connection: what every connection pool looks for before it uses one again."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


def ask(connection: http.client.HTTPConnection) -> str:
    """Send one request. Raise what the connection raises."""
    connection.request("POST", urlsplit(URL).path, BODY, HEADERS)
    answer = connection.getresponse()
    answer.read()
    # A server that is about to stop says so, and the client opens another connection.
    if not KEEP_ALIVE or answer.will_close:
        connection.close()
    return "ok" if answer.status == 200 else f"status {answer.status}"


def ask_as_pools_do(connection: http.client.HTTPConnection) -> tuple[str, bool]:
    """Send one request, and send it again where a connection that was used before ends without a byte of an answer.

    A server may close an idle connection in the very moment in which a request is sent on it. Go's and other clients'
    pools send such a request again, on a new connection and once.
    """
    if is_dropped(connection):
        connection.close()
    is_reused = connection.sock is not None
    try:
        return ask(connection), False
    except (ConnectionError, http.client.RemoteDisconnected):
        connection.close()
        if not is_reused:
            raise
        return ask(connection), True


def work(number: int, began: float) -> None:
    global slowest, pause, last
    connection = connect()
    turn = number
    # Who falls behind does not catch up: it would be a burst, not a stream.
    while not ended.wait(max(0.0, began + turn / RATE - time.monotonic())):
        turn += WORKERS
        behind = int((time.monotonic() - began) * RATE) - turn
        turn += max(0, behind) // WORKERS * WORKERS
        resent = False
        sent = time.monotonic()
        with lock:
            pause, last = max(pause, sent - last), max(last, sent)
        try:
            outcome, resent = ask_as_pools_do(connection)
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
            connection.close()
        took = time.monotonic() - sent
        with lock:
            counts[outcome] += 1
            resends.append(resent)
            slowest = max(slowest, took)
            if outcome != "ok":
                failures.append(f"at {sent - began:.2f} s, after {took:.2f} s: {outcome}")


start = time.monotonic()
threads = [threading.Thread(target=work, args=(number, start)) for number in range(WORKERS)]
for thread in threads:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
result = {
    "seconds": round(time.monotonic() - start, 1),
    "sent": sum(counts.values()),
    "counts": counts,
    "resent": sum(resends),
    "slowest": round(slowest, 2),
    "pause": round(pause, 2),
    "failures": failures[:20],
}
print(json.dumps(result))
