"""Lines 23 to 28: what an answer holds, and that nobody on the way changes how it is wrapped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from gateway.selftest.judging import NO_DOSSIER, changed
from gateway.selftest.site import ABSENT, LARGEST_JSON, SESSION, Site, as_object, describe, lasting, plainly
from gateway.selftest.verdicts import Check, Finding, Inapplicable, Tried
from gateway.selftest.wire import TOO_LARGE, Answer

SLUGS: Final = (
    *("paiement", "dossier", "famille", "enfants", "droits", "logement", "rmi_api", "rsa", "ressources", "creances"),
    *("qf_cnaf", "qf_caf", "maladie_maternite_affiliation", "cmu_rsa_rmi", "cmuc_ressources", "residence", "adresse"),
    *("attestation_paiement", "courrier", "declaration_ressources"),
)
"""The 20 rubrics of a dossier. Which of them are open is the gateway's to say."""
KEPT_KEYS: Final = frozenset({"numero", "caisse", "rubriques"})
NEVER: Final = frozenset({"iban", "nir"})
"""Fields that no profile reads."""
CODINGS: Final = ("gzip", "deflate", "br", "zstd", "gzip, deflate, br, zstd, *;q=0.1")
PARTIAL: Final = (
    *("Range: bytes=0-9", "Range: bytes=-10", "Range: bytes=0-1, 3-4", "If-None-Match: *", 'If-None-Match: "x"'),
    *("If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT", "If-Match: *"),
    "If-Unmodified-Since: Fri, 31 Dec 2100 00:00:00 GMT",
)
VALIDATORS: Final = ("ETag", "Last-Modified", "Accept-Ranges", "Content-Range", "Content-MD5", "Digest", "Repr-Digest")

PAST: Final = (
    "this answer did not come through the gateway, or was kept from another agent: look for a route in front that "
    "leads to the backend (a `location`, an ingress path, a fallback), and for a cache. Stop the traffic until it is "
    "found."
)


class _Twice(ValueError):
    """An object that has a key twice."""


def _whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


def _fields(value: object) -> Iterator[str]:
    """Every key in a document, at any depth."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def open_rubrics(site: Site) -> Tried:
    """A dossier holds what the profile opens, and no other key."""
    if not site.dossiers:
        return NO_DOSSIER
    findings: list[Finding] = []
    for number in site.dossiers:
        answer = site.ask(f"/dossiers/{number}")
        findings += [Finding("a dossier that the account may read", what) for what in _amiss(answer, number, site)]
    return findings


def _amiss(answer: Answer, number: str, site: Site) -> Iterator[str]:
    if answer.status != 200 or answer.kind != "application/json":
        yield f"{describe(answer)}, not 200 and JSON"
        return
    if len(answer.body) > LARGEST_JSON:
        yield f"{describe(answer)}: {TOO_LARGE}"
        return
    try:
        document = json.loads(answer.body, object_pairs_hook=_whole)
    except _Twice:
        yield "an object that has a key twice"
        return
    except (ValueError, RecursionError):
        yield "something that is not JSON"
        return
    if not isinstance(document, dict) or not isinstance(document.get("rubriques"), dict):
        yield "JSON that is not a dossier"
        return
    rubrics = document["rubriques"]
    if document.get("numero") != number:
        yield "another dossier than was asked for"
    if withheld := sorted(rubrics.keys() & set(SLUGS) - site.rubrics):
        yield f"rubrics that the profile does not open: {', '.join(withheld)}"
    if unknown := len(rubrics.keys() - set(SLUGS) - site.rubrics):
        yield f"{unknown} rubrics that are unknown"
    if empty := sorted(slug for slug, part in rubrics.items() if part is None and slug in site.rubrics):
        yield f"rubrics that are null, not absent: {', '.join(empty)}"
    if others := len(document.keys() - KEPT_KEYS):
        yield f"{others} keys beside {', '.join(sorted(KEPT_KEYS))}"
    if never := sorted(NEVER.intersection(_fields(document))):
        yield f"fields that no profile reads: {', '.join(never)}"
    if not answer.first("X-Policy"):
        yield "no X-Policy: no policy has decided this answer"


def closed_rubrics(site: Site) -> Tried:
    """A rubric at its own address: 403 where the profile does not open it; else the part of the dossier, decided."""
    if not site.dossiers:
        return NO_DOSSIER
    path = site.a_dossier
    kept = as_object(site.plain(path)).get("rubriques")
    whole = kept if isinstance(kept, dict) else {}
    findings: list[Finding] = []
    for slug in SLUGS:
        answer = site.ask(f"{path}/rubriques/{slug}")
        sent = f"the rubric {slug} at its own address"
        if slug not in site.rubrics:
            if answer.status not in (403, 404):
                findings.append(Finding(sent, f"{describe(answer)}, and the profile does not open it"))
        elif slug in whole and (as_object(answer) != whole[slug] or not answer.first("X-Policy")):
            findings.append(Finding(sent, f"{describe(answer)}, not what the dossier holds, decided by a policy"))
    return findings


def without_session(site: Site) -> Tried:
    paths = (site.a_dossier, f"/dossiers/{ABSENT}", f"{site.a_dossier}/rubriques/adresse", "/etat")
    return [
        Finding("a request without a session", f"{describe(answer)}, not 401")
        for answer in (site.ask(path, signed=False) for path in paths)
        if answer.status != 401
    ]


def compressed(site: Site) -> Tried:
    findings: list[Finding] = []
    for target in site.targets:
        for coding in CODINGS:
            answer = site.ask(target, f"Accept-Encoding: {coding}", "TE: gzip, trailers")
            sent = f"Accept-Encoding: {coding}"
            if answer.all("Content-Encoding"):
                findings.append(Finding(sent, f"an answer in {plainly(answer.first('Content-Encoding'))}"))
            elif "accept-encoding" in answer.first("Vary").lower():
                findings.append(Finding(sent, "Vary: Accept-Encoding"))
            else:
                findings += changed(site, target, [(sent, answer)])
    return findings


def declared_types(site: Site) -> Tried:
    """Every answer says what it is, and that nobody may guess or frame it."""
    findings: list[Finding] = []
    proper = [("a proper request", site.plain(target), "application/json") for target in site.targets]
    refusal = [("an unknown address", site.ask("/selftest"), "application/problem+json")]
    for sent, answer, kind in (*proper, *refusal):
        policy = answer.first("Content-Security-Policy")
        wrong = {
            f"a content type that is not {kind}": answer.kind != kind or len(answer.all("Content-Type")) != 1,
            "no X-Content-Type-Options: nosniff": answer.all("X-Content-Type-Options") != ["nosniff"],
            "a Content-Security-Policy that lets something load or frame": "default-src 'none'" not in policy
            or "frame-ancestors 'none'" not in policy,
            "no Referrer-Policy: no-referrer": answer.all("Referrer-Policy") != ["no-referrer"],
        }
        findings += [Finding(sent, what) for what, holds in wrong.items() if holds]
    return findings


def partial_answers(site: Site) -> Tried:
    findings: list[Finding] = []
    for target in site.targets:
        for line in PARTIAL:
            findings += changed(site, target, [(line.partition(":")[0], site.ask(target, line))])
        answer = site.ask(target, "Range: bytes=0-9", 'If-Range: "x"')
        findings += changed(site, target, [("Range and If-Range", answer)])
    return findings


def validators(site: Site) -> Tried:
    answers = [*(site.plain(target) for target in site.targets), site.ask("/selftest"), site.ask(SESSION, signed=False)]
    return [
        Finding("a request", f"the answer has {name}") for answer in answers for name in VALIDATORS if answer.all(name)
    ]


def problems(site: Site) -> Tried:
    """Refusals arrive as the gateway wrote them: a code, and the id under which the record has them."""
    refusals = {
        "a stranger's request": (site.ask(SESSION, signed=False), 401, "GW101"),
        "an unknown address": (site.ask("/selftest"), 404, "GW203"),
        "a number that is not one": (site.ask("/dossiers/selftest"), 422, "GW207"),
        "an undeclared parameter": (site.ask(f"{site.a_dossier}?selftest=1"), 400, "GW202"),
        "a method that is not declared": (site.ask(site.a_dossier, "Content-Length: 0", method="PUT"), 405, "GW204"),
    }
    findings = []
    for sent, (answer, status, code) in refusals.items():
        shown = as_object(answer)
        if answer.status != status or shown.get("code") != code:
            findings.append(Finding(sent, f"{describe(answer)}, not {status} {code}"))
        elif answer.kind != "application/problem+json" or shown.get("request_id") != answer.first("X-Request-Id"):
            findings.append(Finding(sent, "a refusal whose type or request id was changed"))
    return findings


def absent_dossiers(site: Site) -> Tried:
    """Where a profile reads only what is entrusted to it, refused and absent are one answer. Where it may know what
    exists, a refused dossier is refused before anything is fetched."""
    if not site.closed:
        return Inapplicable("needs a dossier that the account may not read: --closed-dossier NUMBER")
    absent = site.ask(f"/dossiers/{ABSENT}")
    findings = []
    for number in site.closed:
        answer = site.ask(f"/dossiers/{number}")
        sent = "a dossier that the account may not read, beside one that does not exist"
        if answer.status != 403:
            findings.append(Finding(sent, f"{describe(answer)}, not 403"))
        elif absent.status != 404 and lasting(answer) != lasting(absent):
            findings.append(Finding(sent, f"{describe(answer)} and {describe(absent)}, in different words"))
    return findings


CHECKS: Final = (
    Check(23, "open-rubrics", "dossiers that the account may read", PAST, open_rubrics),
    Check(23, "closed-rubrics", "every rubric of a dossier at its own address", PAST, closed_rubrics),
    Check(23, "without-session", "dossiers and other addresses without a session", PAST, without_session),
    Check(
        24,
        "compressed",
        "Accept-Encoding",
        "switch compression off in front (nginx: `gzip off`; Traefik: no compress middleware): beside what an attacker "
        "can place in a page, a length tells secrets.",
        compressed,
    ),
    Check(
        24,
        "declared-types",
        "proper requests and a refusal",
        "what is in front drops, doubles or replaces the headers that protect readers.",
        declared_types,
    ),
    Check(
        25,
        "partial-answers",
        "Range, If-None-Match, If-Modified-Since and their likes",
        "a cache or a file server in front answers in parts (nginx: `proxy_force_ranges`, `slice`).",
        partial_answers,
    ),
    Check(
        25,
        "validators",
        "proper requests and refusals",
        "what is in front adds ETag, Last-Modified or digests: of a whole body they tell what is withheld.",
        validators,
    ),
    Check(
        25,
        "problems",
        "requests that the gateway refuses",
        "what is in front answers refusals by itself (nginx: `proxy_intercept_errors`, `error_page`).",
        problems,
    ),
    Check(
        28,
        "absent-dossiers",
        "a dossier that the account may not read, and one that does not exist",
        "something between makes a difference of the two: an error page, a cache, a route past the gateway.",
        absent_dossiers,
    ),
)
