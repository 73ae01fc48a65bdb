"""The job in Python and little else: what the language, a quick server and libcurl cost before there is a gateway.

    granian --interface wsgi server:answer, with BACKEND, RULES and RECORD in the environment (RULES: a file of JSON
    {"tokens": {token: profile}, "matrix": {profile: [rubric]}}; RECORD: the SQLite file to make).

No store, no deadline of its own, no strictness, no metrics, no way to change anything while it runs. The record is
written behind the answer's back, by a thread, and may be lost with it. Each thread has one handle of libcurl.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pycurl
from cachetools import LRUCache

BACKEND = os.environ["BACKEND"]
RULES = json.loads(Path(os.environ["RULES"]).read_bytes())
ROWS_AT_ONCE = 50
LARGEST_DOSSIER = 32 * 1024 * 1024

decisions: LRUCache[str, tuple[str, ...]] = LRUCache(1024)
deciding = threading.Lock()
parts_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
recorded: queue.SimpleQueue[tuple[object, ...]] = queue.SimpleQueue()
of_this_thread = threading.local()


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    profile = RULES["tokens"].get(token) if scheme == "Bearer" else None
    if profile is None:
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    status, body = fetch(environ["PATH_INFO"])
    if status != 200:
        start_response("502 Bad Gateway", [("Content-Length", "0")])
        return [b""]
    body.decode()  # msgspec does not look at what it leaves raw
    dossier, opened = parts_of(body), decide(profile)
    rubrics = parts_of(dossier["rubriques"])
    kept = ",".join(f'"{rubric}":{bytes(rubrics[rubric]).decode()}' for rubric in opened if rubric in rubrics)
    numero, caisse = bytes(dossier["numero"]).decode(), bytes(dossier["caisse"]).decode()
    text = f'{{"numero":{numero},"caisse":{caisse},"rubriques":{{{kept}}}}}'.encode()
    mark = hashlib.sha256(environ["PATH_INFO"].encode()).hexdigest()
    recorded.put((time.time(), os.urandom(12).hex(), profile, mark, ",".join(opened), status))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


def decide(profile: str) -> tuple[str, ...]:
    with deciding:
        opened = decisions.get(profile)
        if opened is None:
            opened = decisions[profile] = tuple(RULES["matrix"].get(profile, ()))
    return opened


def fetch(path: str) -> tuple[int, bytes]:
    handle = getattr(of_this_thread, "handle", None)
    if handle is None:
        handle = of_this_thread.handle = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, 10_000),
            (pycurl.CONNECTTIMEOUT_MS, 2_000),
            (pycurl.MAXFILESIZE, LARGEST_DOSSIER),
            (pycurl.PROXY, ""),
            (pycurl.HTTPHEADER, ["Accept-Encoding: identity"]),
        ):
            handle.setopt(option, value)
    pieces: list[bytes] = []
    handle.setopt(pycurl.URL, BACKEND + path)
    handle.setopt(pycurl.WRITEFUNCTION, pieces.append)
    handle.perform()
    return handle.getinfo(pycurl.RESPONSE_CODE), b"".join(pieces)


def write_record() -> None:
    database = sqlite3.connect(os.environ["RECORD"], isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE record (at, request_id, profile, dossier, rubrics, status)")
    while True:
        rows = [recorded.get()]
        while len(rows) < ROWS_AT_ONCE and not recorded.empty():
            rows.append(recorded.get())
        database.execute("BEGIN")
        database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")


threading.Thread(target=write_record, daemon=True).start()
