"""The route table: which paths there are, what each answers, and the plan to redact that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.errors import MalformedNumber, MethodNotAllowed, NoSuchRoute, NotOpen
from gateway.model import DossierNumber
from gateway.redaction.parts import Part
from gateway.redaction.paths import NUMBER, SLUG, Template
from gateway.redaction.plans import Plan

JSON: Final = "json"
DOCUMENT: Final = "document"
ANSWERS: Final = (JSON, DOCUMENT)

MATCHES_KEPT: Final = 4096
MOST_PLANS: Final = 1024
"""Plans kept by a table; a policy in use needs a few for each profile, and one rubric at its own address for each."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The JSON that a route answers: a part of a document, and the pointer where it stands in it."""

    part: Part
    pointer: str
    rubrics: frozenset[str]


@dataclass(eq=False)
class Route:
    """One address of the backend. `query` are the parameters it declares; `content_types` are lower-case.

    A document belongs to one `rubric`, empty for JSON. JSON has its `contents` by the slug in its path, or under ""
    where its path has none.
    """

    name: str
    method: str
    template: Template
    action: str
    answer: str
    query: tuple[str, ...]
    content_types: tuple[str, ...]
    rubric: str
    contents: Mapping[str, Content]
    accept: str = field(init=False)
    """The media types to ask the backend for, as a header's value."""
    methods: tuple[str, ...] = field(init=False)
    """The methods a client may use: HEAD is a GET of which only the headers are answered."""
    tells_whose: bool = field(init=False)
    """Whether every answer says which dossier it is about, so that another's is refused."""

    def __post_init__(self) -> None:
        self.accept = ", ".join(self.content_types)
        self.methods = ("GET", "HEAD") if self.method == "GET" else (self.method,)
        self.tells_whose = self.answer == JSON and all(part.part.tells_whose() for part in self.contents.values())

    def content(self, nouns: Mapping[str, str]) -> Content:
        return self.contents[nouns.get(SLUG, "")]

    def rubrics(self, nouns: Mapping[str, str]) -> frozenset[str]:
        """The slugs that this route's answer can hold. Where none of them is granted, there is nothing to fetch."""
        return frozenset((self.rubric,)) if self.answer == DOCUMENT else self.content(nouns).rubrics

    def path(self, nouns: Mapping[str, str]) -> str:
        """The path to ask the backend for, written from the nouns alone. Raises ValueError where they do not fit."""
        return self.template.write(nouns)


class Match(NamedTuple):
    """A path that was understood: its route, and its nouns, all of them ASCII; the dossier that it is about, the path
    that these nouns make, and the slugs that the answer can hold."""

    route: Route
    nouns: Mapping[str, str]
    number: DossierNumber
    path: str
    rubrics: frozenset[str]


class RouteTable:
    """The routes of one `routes.toml`, no two of which fit the same path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._by_slashes: dict[int, list[Route]] = {}
        for route in self.routes:
            self._by_slashes.setdefault(len(route.template.segments), []).append(route)
        self._plan = lru_cache(maxsize=MOST_PLANS)(_plan)
        self.match = lru_cache(maxsize=MATCHES_KEPT)(self._match)
        """As `_match`; what was understood is remembered for a while."""

    def _match(self, method: str, path: str) -> Match:
        """The route and the nouns of a request's path, as WSGI gives it: percent-decoded, latin-1.

        Segments are compared exactly: nothing is decoded, folded, joined or normalised here. Raises `MalformedNumber`
        where only the dossier number keeps the path from being some route's, `MethodNotAllowed` for a known path,
        `NoSuchRoute` for any other.
        """
        candidates = self._by_slashes.get(path.count("/"), ())
        for route in candidates:
            found = route.template.pattern.fullmatch(path)
            if found is not None:
                if method not in route.methods:
                    raise MethodNotAllowed(route.methods)
                nouns = found.groupdict()
                number = DossierNumber(nouns[NUMBER])
                return Match(route, nouns, number, route.path(nouns), route.rubrics(nouns))
        if any(route.template.misnumbered.fullmatch(path) for route in candidates):
            raise MalformedNumber("not seven digits where the number stands")
        raise NoSuchRoute("no route has this path")

    def plan(self, route: Route, nouns: Mapping[str, str], granted: Set[str]) -> Plan:
        """The plan to redact the JSON of this route when these rubrics are granted. Plans are made once and kept.

        Raises `NotOpen` where nothing that the answer can hold is granted.
        """
        content = route.content(nouns)
        opened = content.rubrics & granted
        if not opened:
            raise NotOpen("no rubric of this answer is granted")
        return self._plan(content, opened)


def _plan(content: Content, opened: frozenset[str]) -> Plan:
    return Plan(content.part, opened, content.pointer)
