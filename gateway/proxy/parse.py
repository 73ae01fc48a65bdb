"""A request to the backend becomes our nouns, or a refusal. After this nothing of its raw text is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from gateway.errors import BadRequest, BodyTooLarge, UndeclaredParameter
from gateway.model import DossierNumber
from gateway.redaction.table import Route, RouteTable

LANGUAGES: Final = re.compile(r"[A-Za-z0-9*,;=. -]{1,100}", re.ASCII)
LONGEST_VALUE: Final = 256


class Request(NamedTuple):
    """What is asked, in our nouns. `path` is rebuilt from them and is what the backend will be asked."""

    route: Route
    nouns: Mapping[str, str]
    number: DossierNumber
    path: str
    rubrics: frozenset[str]
    """The slugs that the answer can hold."""
    upstream_headers: dict[str, str]


def parse(environ: Mapping[str, Any], routes: RouteTable, request_id: str) -> Request:
    """The request that `environ` (PEP 3333) describes.

    Raises `NoSuchRoute`, `MalformedNumber`, `MethodNotAllowed`, `BodyTooLarge` (a body where none is declared),
    `UndeclaredParameter` or `BadRequest`.
    """
    route, nouns, number, path, rubrics = routes.match(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    if announces_a_body(environ):
        raise BodyTooLarge("a body where none is declared")
    path += query(environ, route.query)
    headers = {"Accept": route.accept, "X-Request-Id": request_id}
    language = environ.get("HTTP_ACCEPT_LANGUAGE")
    if language is not None and LANGUAGES.fullmatch(language):
        headers["Accept-Language"] = language
    return Request(route, nouns, number, path, rubrics, headers)


def announces_a_body(environ: Mapping[str, Any]) -> bool:
    """Whether a body follows the request's head, by its length or by its transfer coding."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def query(environ: Mapping[str, Any], declared: tuple[str, ...] = ()) -> str:
    """The query string of a request with its parameters, written again; empty where there are none.

    Raises `UndeclaredParameter` or `BadRequest`.
    """
    found = parameters(environ, declared)
    return "?" + urlencode(found) if found else ""


def parameters(
    environ: Mapping[str, Any], declared: tuple[str, ...], *, longest: int = LONGEST_VALUE
) -> dict[str, str]:
    """The parameters of a request's query string, in their order. Raises `UndeclaredParameter` or `BadRequest`."""
    text = environ.get("QUERY_STRING", "")
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=32)
    except ValueError:
        raise BadRequest("a query string that is not one") from None
    found = dict(pairs)
    if any(name not in declared for name in found):
        raise UndeclaredParameter("a parameter the address does not declare")
    if len(found) < len(pairs):
        raise BadRequest("a parameter given twice")
    if any(len(value) > longest or not value.isprintable() for value in found.values()):
        raise BadRequest("a parameter's value that is too long or not printable")
    return found
