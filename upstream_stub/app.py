"""The backend's addresses. Unknown is 404; every answer but a PDF is JSON.

| address | answer |
|---|---|
| `GET /dossiers/{numero}` | `{"numero", "caisse", "rubriques": {slug: {…}}}` |
| `GET /dossiers/{numero}/rubriques/{slug}` | that rubric, byte for byte as in the whole |
| `GET /dossiers/{numero}/{attestations,courriers,declarations}/{reference}.pdf` | the document |
| `GET`, `POST /dossiers/{numero}/messages` | its messages; one more: `{"texte", "auteur"}` |
| `GET /etat` | `{"etat": "ok"}` |

Where it is given `Assertions`, a dossier is for whom a good one says that they ask for it: 401 where there is none, 403
where it is about another dossier.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import Any

from flask import Flask, Response, abort, request
from werkzeug.exceptions import HTTPException

from upstream_stub.assertions import HEADER, Asking, Assertions
from upstream_stub.documents import document_pdf
from upstream_stub.dossiers import dossier_text, rubric_text
from upstream_stub.writing import json_text

Message = dict[str, Any]

REFERENCE = re.compile(r"[0-9a-z-]{1,32}")


def create_app(assertions: Assertions | None = None, told: Callable[[Asking], None] = lambda asking: None) -> Flask:
    """A backend with all its dossiers and no message yet. It wants `assertions`, if given, and `told` is who asks."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    messages: defaultdict[str, list[Message]] = defaultdict(list)
    writing = Lock()

    @app.before_request
    def known() -> None:
        if assertions is None or not request.path.startswith("/dossiers/"):
            return
        asking = assertions.asking(request.headers.get(HEADER))
        if asking is None:
            abort(HTTPStatus.UNAUTHORIZED)
        if asking.dossier != request.path.split("/")[2]:
            abort(HTTPStatus.FORBIDDEN)
        told(asking)

    @app.get("/dossiers/<numero>")
    def whole_dossier(numero: str) -> Response:
        return as_json(found(dossier_text(numero)))

    @app.get("/dossiers/<numero>/rubriques/<slug>")
    def one_rubric(numero: str, slug: str) -> Response:
        return as_json(found(rubric_text(numero, slug)))

    @app.get("/dossiers/<numero>/<any(attestations, courriers, declarations):folder>/<reference>.pdf")
    def one_document(numero: str, folder: str, reference: str) -> Response:
        if not REFERENCE.fullmatch(reference):
            abort(HTTPStatus.NOT_FOUND)
        return Response(found(document_pdf(numero, folder, reference)), content_type="application/pdf")

    @app.get("/dossiers/<numero>/messages")
    def messages_so_far(numero: str) -> Response:
        found(dossier_text(numero))
        with writing:
            return as_json(json_text({"messages": messages.get(numero, [])}).encode())

    @app.post("/dossiers/<numero>/messages")
    def one_more_message(numero: str) -> Response:
        found(dossier_text(numero))
        said = request.get_json()
        if not is_message(said):
            abort(HTTPStatus.BAD_REQUEST)
        with writing:
            message = {"id": len(messages[numero]) + 1, **said}
            messages[numero].append(message)
        return as_json(json_text(message).encode(), HTTPStatus.CREATED)

    @app.get("/etat")
    def state() -> Response:
        return as_json(b'{"etat":"ok"}')

    @app.errorhandler(HTTPException)
    def refusal(error: HTTPException) -> Response:
        """The status and nothing else: the framework's own headers stay, its HTML page does not."""
        answer = Response(status=error.code, headers=error.get_headers())
        answer.data = json_text({"erreur": error.code}).encode()
        answer.content_type = "application/json"
        return answer

    return app


def is_message(said: Any) -> bool:
    """Whether that is a text and its author, both there, and nothing else."""
    return (
        isinstance(said, dict)
        and said.keys() == {"texte", "auteur"}
        and all(isinstance(words, str) and words for words in said.values())
    )


def found(body: bytes | None) -> bytes:
    """`body`, or the end of the request with a 404."""
    if body is None:
        abort(HTTPStatus.NOT_FOUND)
    return body


def as_json(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body, status=status, content_type="application/json")
