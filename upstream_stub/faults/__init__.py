"""Faults on demand: a second server, on its own port, that breaks every promise a backend makes.

    from upstream_stub import faults

    with faults.serve() as backend:
        requests.get(f"{backend.url}/dossiers/{faults.FAULTS['gzip_bomb'].number}")

The number asked for selects the fault, so that a gateway in front needs no parameter of its own:

- 99800xx time (`timing`): late, in crumbs, cut off
- 99801xx types and encodings (`media`)
- 99802xx statuses that carry a dossier (`statuses`)
- 99803xx JSON (`bodies`): repeated keys, wrong shapes, what a parser chokes on
- 99804xx lengths, chunks, headers (`framing`)

Every body is a dossier full of canaries, so that a leak shows. Each fault ends within a minute, and when the
server closes.
"""

from __future__ import annotations

from upstream_stub.faults import bodies, framing, media, statuses, timing
from upstream_stub.faults.server import FaultServer, seconds_from_environment
from upstream_stub.faults.wire import Fault

__all__ = ["FAULTS", "Fault", "FaultServer", "serve"]

FAULTS: dict[str, Fault] = {
    **timing.FAULTS,
    **media.FAULTS,
    **statuses.FAULTS,
    **bodies.FAULTS,
    **framing.FAULTS,
}
"""Every fault by its name: the number that asks for it, a sentence, the doing."""


def serve(port: int = 0, *, host: str = "127.0.0.1", slow_seconds: float | None = None) -> FaultServer:
    """A running fault server (`.url`, `.close()`, or `with`); port 0 takes a free one.

    "Slow" lasts `slow_seconds`, else `UPSTREAM_STUB_SLOW_SECONDS` from the environment, else 30.
    """
    seconds = seconds_from_environment() if slow_seconds is None else slow_seconds
    return FaultServer(FAULTS, host=host, port=port, slow_seconds=seconds)
