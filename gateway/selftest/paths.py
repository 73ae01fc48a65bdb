"""Lines 1 to 6: an address is itself and nothing near it.

What is tried are the addresses that the agent may read, written otherwise: an answer shows that somebody on the way
normalises, and two who normalise differently can be played against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.selftest.judging import changed, refused, unrefused
from gateway.selftest.site import FOREIGN, SESSION, Site, describe
from gateway.selftest.verdicts import Check, Finding, Tried
from gateway.selftest.wire import Answer

NORMALISED: Final = (
    "whatever stands in front rewrites paths before it passes them on. nginx: `proxy_pass` without a path behind the "
    "host and no `rewrite`; Traefik: `sanitizePath: false` at the entry point, no path middleware; an ingress: no "
    "rewrite-target. The raw path must arrive: the gateway refuses what is odd in it."
)

DOTS: Final = {
    "a segment and `..` before": "/x/..{path}",
    "`/./` before": "/.{path}",
    "`%2e%2e` before": "/x/%2e%2e{path}",
    "`%2E%2e%2f` before": "/x/%2E%2e%2f{rest}",
    "`..%2f` before": "/x/..%2f{rest}",
    "`%252e%252e` before": "/x/%252e%252e{path}",
    "`%252e%252e%252f` before": "/x/%252e%252e%252f{rest}",
    "`/%2e/` before": "/%2e{path}",
    "`..` that climbs out of a health address": "/-/health/live/../../..{path}",
    "a segment and `..` behind": "{path}/x/..",
    "`/.` behind": "{path}/.",
}
SLASHES: Final = {
    "two slashes before": "/{path}",
    "three slashes before": "//{path}",
    "a slash behind": "{path}/",
    "two slashes inside": "/{head}//{tail}",
    "a slash and an encoded one inside": "/{head}/%2f{tail}",
}
ODD: Final = {
    "`%5C` for a slash": "/{head}%5C{tail}",
    "a backslash for a slash": "/{head}\\{tail}",
    "`;v=1` behind": "{path};v=1",
    "`;v=1` in the first segment": "/{head};v=1/{tail}",
    "a null, encoded, behind": "{path}%00",
    "a line feed, encoded, behind": "{path}%0A",
    "a blank, encoded, behind": "{path}%20",
    "a byte that is not UTF-8 behind": "{path}%FF",
    "an overlong slash (`%C0%AF`)": "/{head}%C0%AF{tail}",
    "a full-width solidus for a slash": "/{head}%EF%BC%8F{tail}",
    "an encoded percent sign": "/{head}%252f{tail}",
}
ENDS: Final = {
    "`%23` behind": "{path}%23",
    "`%23` and a word behind": "{path}%23x",
    "`%3F` behind": "{path}%3F",
    "`%3F` and a parameter behind": "{path}%3Fx=1",
    "`#` and a word behind": "{path}#x",
}
DIGITS: Final = {
    "Arabic-Indic": "%D9%A9" * 3 + "%D9%A0" * 3 + "%D9%A1",
    "full-width": "%EF%BC%99" * 3 + "%EF%BC%90" * 3 + "%EF%BC%91",
    "superscript": "%C2%B9" * 7,
}


def _written(site: Site, forms: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    for path in site.targets:
        head, _, tail = path[1:].partition("/")
        for sent, form in forms.items():
            target = form.format(path=path, rest=path[1:], head=head, tail=tail)
            yield f"{_named(path)}, {sent}", site.ask(target)


def _named(path: str) -> str:
    return path if path == SESSION else "a dossier's address"


def dot_segments(site: Site) -> Tried:
    return [*unrefused(_written(site, DOTS))]


def doubled_slashes(site: Site) -> Tried:
    return [*unrefused(_written(site, SLASHES))]


def odd_characters(site: Site) -> Tried:
    numbers = ((f"a number in {script} digits", site.ask(f"/dossiers/{text}")) for script, text in DIGITS.items())
    return [*unrefused(_written(site, ODD)), *unrefused(numbers)]


def encoded_slashes(site: Site) -> Tried:
    """A server that decodes `%2F` before it looks is as right as one that refuses it; nothing else is."""
    findings: list[Finding] = []
    for path in site.targets:
        head, _, tail = path[1:].partition("/")
        for slash in ("%2f", "%2F"):
            answer = site.ask(f"/{head}{slash}{tail}")
            if not refused(answer):
                findings += changed(site, path, [(f"{_named(path)}, `{slash}` for a slash", answer)])
    return findings


def encoded_ends(site: Site) -> Tried:
    return [*unrefused(_written(site, ENDS))]


def foreign_hosts(site: Site) -> Tried:
    path, right = SESSION, site.place.authority

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "Host that is foreign", site.ask(path, host=FOREIGN)
        yield "no Host", site.ask(path, host="")
        yield "two Hosts, the foreign one second", site.ask(path, f"Host: {FOREIGN}")
        yield "two Hosts, the foreign one first", site.ask(path, f"Host: {right}", host=FOREIGN)
        yield "two hosts in one Host", site.ask(path, host=f"{right}, {FOREIGN}")
        yield "a user before the host", site.ask(path, host=f"x@{right}")
        yield "a path behind the host", site.ask(path, host=f"{right}/x")
        yield "a foreign target in absolute form", site.ask(f"http://{FOREIGN}{path}")
        yield "a foreign target in absolute form, Host foreign too", site.ask(f"http://{FOREIGN}{path}", host=FOREIGN)

    return [*unrefused(answers())]


def undeclared_parameters(site: Site) -> Tried:
    target = site.a_dossier

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "an undeclared parameter", site.ask(f"{target}?page=2")
        yield "a parameter twice, with two values", site.ask(f"{target}?page=1&page=2")
        yield "an undeclared parameter, its name encoded", site.ask(f"{target}?%70age=2")
        yield "a profile as a parameter", site.ask(f"{target}?profil=T1")
        yield "another dossier's number as a parameter", site.ask(f"{target}?numero=0000000")
        yield "a query that is not one", site.ask(f"{target}?%FF=1")

    return [
        Finding(sent, f"{describe(answer)}, where the gateway answers 400")
        for sent, answer in answers()
        if answer.status != 400
    ]


def paths_in_queries(site: Site) -> Tried:
    def answers() -> Iterator[tuple[str, Answer]]:
        for path in site.targets:
            yield f"{_named(path)} as a query", site.ask(f"/x?{path}")
            yield f"{_named(path)} as the value of a parameter", site.ask(f"/x?path={path}")
            yield f"{_named(path)} behind a question mark twice", site.ask(f"/x?{path}?")

    return [*unrefused(answers())]


CHECKS: Final = (
    Check(1, "dot-segments", "addresses behind dot segments: plain, encoded, encoded twice", NORMALISED, dot_segments),
    Check(2, "doubled-slashes", "addresses with slashes doubled or added", NORMALISED, doubled_slashes),
    Check(
        3,
        "odd-characters",
        "addresses with backslashes, parameters, control characters, bytes that are not UTF-8, other scripts' digits",
        NORMALISED,
        odd_characters,
    ),
    Check(3, "encoded-slashes", "addresses with %2F for a slash", NORMALISED, encoded_slashes),
    Check(
        4,
        "encoded-ends",
        "addresses with `#` and `?`, encoded or not, behind",
        f"{NORMALISED} What stands behind `%23` or `%3F` belongs to the path.",
        encoded_ends,
    ),
    Check(
        5,
        "foreign-hosts",
        "Host that is foreign, missing, repeated or decorated; a foreign absolute target",
        "who passes Host on, and who writes it. nginx: a default server that refuses (`return 421`), `server_name`, "
        "`proxy_set_header Host $host`; the gateway: `server.public_url` and `server.hosts` name your hosts alone.",
        foreign_hosts,
    ),
    Check(
        6,
        "undeclared-parameters",
        "parameters that no route declares, or twice",
        "what is in front drops, joins or uses query strings; they must arrive as they were sent.",
        undeclared_parameters,
    ),
    Check(
        6,
        "paths-in-queries",
        "addresses given as a query string",
        "a rewrite in front makes a path of a query string, or answers an address that does not exist itself.",
        paths_in_queries,
    ),
)
