"""`cafpro policy explain`: why each rubric is open or closed, and who can see one."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway import settings as settings_module
from gateway.cli.policy.explained import print_explanation, print_who
from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.speaking import MISUSE, leave
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity.standing import facts_without_session
from gateway.identity.store import open_store
from gateway.model import ACTIONS, Facts
from gateway.policy.engine import Policy
from gateway.policy.enumeration import openings
from gateway.policy.explanation import Explanation, Sees, who
from gateway.policy.explanation import explain as explained
from gateway.policy.given_facts import typed_facts
from gateway.policy.layout import known, near
from gateway.policy.wording import LANGUAGES, requirements
from gateway.policy_files.folder import load_texts, read


@click.command(
    "explain",
    epilog="\b\nExample:\n  cafpro policy explain --profile T9\n"
    "  cafpro policy explain --profile T10 --facts mandates=direct_payment,convention=expired\n"
    "  cafpro policy explain --dossier 9990001 --as t10 --config gateway.toml --lang fr\n"
    "  cafpro policy explain --who creances",
)
@click.option("--profile", metavar="T10", help="The agent's profile; with --as, which of theirs.")
@click.option("--facts", metavar="NAME=WORD,…", help="What is not usual: mandates=judgment+masp,convention=expired.")
@click.option("--dossier", metavar="NUMBER", help="The facts of the agent --as before this dossier, now.")
@click.option("--as", "identifier", metavar="IDENTIFIER", help="The account whose facts are meant.")
@click.option("--who", "slug", metavar="RUBRIC", help="The reverse: who can see this rubric, and when.")
@click.option("--policies", type=click.Path(path_type=Path), help="The folder; otherwise the configuration's.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration: policies, directory.")
@click.option("--lang", "language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(
    profile: str | None,
    facts: str | None,
    dossier: str | None,
    identifier: str | None,
    slug: str | None,
    policies: Path | None,
    config: Path | None,
    language: str,
    form: str,
) -> None:
    """Why each rubric is open or closed: the rule, its file and line, the condition that decided, what would open it.

    It is the gateway's own decision on these facts, told by the engine that decides. Facts that --facts does not name
    are the usual ones: an external partner, convention in force, engagement signed, no mandate, no objection, a
    password, to consult.

    With --dossier and --as, the facts are those the gateway would make for this agent before this dossier now, had they
    logged in with a password: from the directory, which is only read, and without a session. The number is neither
    printed nor kept. `--dossier -` asks for it, so that it stands in no history of commands.

    Exit 0: explained. Exit 1: the policies or the directory cannot be read. Exit 2: misuse.
    """
    _check_use(profile, facts, dossier, identifier, slug)
    try:
        texts = read(folder_of(policies, config))
        policy = load_texts(texts).policy
    except Misconfigured as error:
        leave(error.problems)
    if slug is not None:
        _explain_who(policy, slug, language, form)
        return
    suspended = False
    try:
        if dossier is not None:
            number = click.prompt("Dossier", hide_input=True, err=True) if dossier == "-" else dossier
            asked, suspended = _facts_of(str(identifier), profile, number, config or Path("gateway.toml"))
        else:
            asked = typed_facts(str(profile), facts or "")
    except Misconfigured as error:
        leave(error.problems, status=MISUSE)
    except StoreUnavailable as error:
        leave([f"The directory cannot be used now: {error.because}."])
    found = explained(policy, asked)
    if form == "json":
        _print_json({**_as_json(policy, found, language), "account_suspended": suspended})
    else:
        print_explanation(policy, found, texts, language, suspended=suspended)


def _check_use(
    profile: str | None, facts: str | None, dossier: str | None, identifier: str | None, slug: str | None
) -> None:
    if slug is not None and any(each is not None for each in (profile, facts, dossier, identifier)):
        raise click.UsageError("--who asks about every profile and situation: give it alone.")
    if (dossier is None) != (identifier is None):
        raise click.UsageError("--dossier and --as go together: a dossier is explained for one agent.")
    if dossier is not None and facts is not None:
        raise click.UsageError("--dossier takes the facts from the directory: give it or --facts.")
    if slug is None and dossier is None and profile is None:
        raise click.UsageError("say for whom: --profile, --dossier with --as, or --who.")


def _facts_of(identifier: str, profile: str | None, number: str, config: Path) -> tuple[Facts, bool]:
    settings = settings_module.load(config, os.environ)
    store = open_store(settings.store.url, make=False)
    try:
        return facts_without_session(
            store,
            settings.identity,
            identifier=identifier,
            profile=profile,
            dossier=number,
            action=ACTIONS[0],
            now=datetime.now(UTC),
        )
    finally:
        store.close()


def _explain_who(policy: Policy, slug: str, language: str, form: str) -> None:
    row = next((row for row in policy.rows if row.slug == slug), None)
    if row is None:
        leave([f"There is no rubric `{slug}`.{near(slug, policy.slugs)}{known(sorted(policy.slugs))}"], status=MISUSE)
    found = who(policy, slug, openings(policy))
    if form == "json":
        _print_json(
            {
                "policy": policy.fingerprint,
                "rubric": slug,
                "label": row.label,
                "source": row.source,
                "file": "matrix.polar",
                "line": row.line,
                "seen_by": [_sees(each, language) for each in found],
            }
        )
    else:
        print_who(policy, row, found, language)


def _sees(found: Sees, language: str) -> dict[str, object]:
    return {
        "profile": found.profile,
        "label": found.label,
        "situations": found.bits.bit_count(),
        "requires": requirements(found.bits, language),
    }


def _as_json(policy: Policy, found: Explanation, language: str) -> dict[str, object]:
    places: Callable[[Any], list[dict[str, object]]] = lambda each: [place._asdict() for place in each]  # noqa: E731
    return {
        "policy": policy.fingerprint,
        "facts": found.facts,
        "denied": found.grant.denied,
        "gates": [
            {"gate": gate.gate, "passed": gate.passed, "rules": places(gate.places), "facts": gate.read}
            for gate in found.gates
        ],
        "rubrics": [
            {
                "rubric": each.slug,
                "label": each.label,
                "open": each.open,
                "because": each.why,
                "rules": places(each.places),
                "labels": each.rules,
                "would_open_with": requirements(each.needs, language) if each.needs else [],
            }
            for each in found.rubrics
        ],
    }


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
