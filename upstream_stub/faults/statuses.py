"""Answers whose status says one thing and whose body shows a dossier all the same."""

from __future__ import annotations

from upstream_stub.faults.wire import JSON, OTHER_FAMILY, Fault, Wire, answering, dossier_of, head


def partial(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    half = len(body) // 2
    span = f"Content-Range: bytes 0-{half - 1}/{len(body)}"
    wire.send(head("206 Partial Content", JSON, span, f"Content-Length: {half}") + body[:half])


def early_hints(wire: Wire) -> None:
    hint = "Link: </CANARI-famille-nom_naissance-Garnier.css>; rel=preload"
    wire.send(head("103 Early Hints", hint))
    answering()(wire)


def switching(wire: Wire) -> None:
    wire.send(head("101 Switching Protocols", "Connection: Upgrade", "Upgrade: dossier"))
    wire.send(dossier_of(wire.numero))
    wire.hang_up()


def with_dossier(number: str, status: str, *headers: str) -> Fault:
    """A status whose body is the dossier, announced and sent, also where the status allows no body."""
    return Fault(number, f"{status}, with the dossier as its body.", answering(status=status, headers=headers))


FAULTS = {
    "status_500": with_dossier("9980201", "500 Internal Server Error", JSON),
    "status_503": with_dossier("9980202", "503 Service Unavailable", JSON, "Retry-After: 1"),
    "status_403": with_dossier("9980203", "403 Forbidden", JSON),
    "status_404": with_dossier("9980204", "404 Not Found", JSON),
    "status_401": with_dossier("9980205", "401 Unauthorized", JSON, 'WWW-Authenticate: Basic realm="CANARI"'),
    "status_301": with_dossier("9980206", "301 Moved Permanently", JSON, f"Location: /dossiers/{OTHER_FAMILY}"),
    "status_302": with_dossier(
        "9980207", "302 Found", JSON, f"Location: http://ailleurs.invalid/dossiers/{OTHER_FAMILY}"
    ),
    "status_206": Fault("9980208", "206 Partial Content, with half of the dossier.", partial),
    "status_204": with_dossier("9980209", "204 No Content", JSON),
    "status_304": with_dossier("9980210", "304 Not Modified", JSON, 'ETag: "CANARI-dossier-entier"'),
    "status_203": with_dossier("9980211", "203 Non-Authoritative Information", JSON),
    "status_999": with_dossier("9980212", "999 Inconnu", JSON),
    "early_hints": Fault("9980213", "103 Early Hints with a name, then a good answer.", early_hints),
    "switching": Fault("9980214", "101 Switching Protocols nobody asked for, then a dossier.", switching),
}
