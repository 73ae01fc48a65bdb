"""Answers that come late, in crumbs, or not at all."""

from __future__ import annotations

from upstream_stub.faults.wire import JSON, Fault, Wire, answering, dossier_of, head


def slow(wire: Wire) -> None:
    wire.wait(wire.slow_seconds)
    answering()(wire)


def stall(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    half = len(body) // 2
    wire.send(head("200 OK", JSON, f"Content-Length: {len(body)}") + body[:half])
    wire.wait(wire.slow_seconds)
    wire.send(body[half:])


def drip(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    wire.send(head("200 OK", JSON, f"Content-Length: {len(body)}"))
    for byte in body:
        if not wire.within_bounds():
            break
        wire.send(bytes([byte]))
        wire.wait(1)
    wire.hang_up()


def reset(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    wire.send(head("200 OK", JSON, f"Content-Length: {len(body)}") + body[: len(body) // 2])
    # The half must arrive before the reset, which may overtake it otherwise.
    wire.wait(0.1)
    wire.reset()


def closed_at_once(wire: Wire) -> None:
    wire.hang_up()


def endless_header(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n" + JSON.encode() + b"\r\nX-Famille: ")
    canaries = b"CANARI-famille-nom_naissance-%s-Garnier " % wire.numero.encode() * 200
    while wire.within_bounds():
        wire.send(canaries)
        wire.wait(0.01)
    wire.hang_up()


FAULTS = {
    "slow": Fault("9980001", "A good answer, after 30 seconds of silence.", slow),
    "drip": Fault("9980002", "A good answer, one byte a second.", drip),
    "stall": Fault("9980003", "Half of a good answer, 30 seconds of silence, the other half.", stall),
    "reset": Fault("9980004", "Half of a good answer, then a TCP reset.", reset),
    "closed_at_once": Fault("9980005", "The connection is closed before any byte.", closed_at_once),
    "endless_header": Fault("9980006", "A header full of names that never ends.", endless_header),
}
