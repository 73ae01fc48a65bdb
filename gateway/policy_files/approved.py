"""What may be in force: the approval beside the policies, and what they open beyond it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.policy.approval import beyond, conditions
from gateway.policy.enumeration import Cell, Openings, openings
from gateway.policy.loading import fingerprint
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.wording import requirements
from gateway.policy_files.approval_text import LARGEST, Approval, lines_of, understood
from gateway.policy_files.folder import InForce, why
from gateway.redaction.compared import PartChange, compared

APPROVED: Final = "approved.json"
MOST_SENTENCES: Final = 40
"""About what is not approved; `cafpro policy approve` shows everything."""


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """How many people must have signed, with which keys (a folder of `NAME.pem`). Without keys nobody need sign."""

    approvers: int = 1
    keys: Path | None = None


@dataclass(frozen=True)
class Beyond:
    """What a proposal opens and the approval does not: cells with the situations, and parts of answers."""

    cells: Mapping[Cell, int]
    parts: Sequence[PartChange]

    def names(self) -> dict[str, list[str]]:
        """How each opening is named where a reason is given for it, and the sentences that say what it is.

        A part that several routes answer is one opening.
        """
        named: dict[str, list[str]] = {}
        for (profile, slug), bits in self.cells.items():
            named[f"{profile} {slug}"] = [f"{profile} sees {slug}: {'; '.join(requirements(bits))}"]
        for part in self.parts:
            named.setdefault(part.pointer or f"{part.route} {part.what}", []).append(str(part))
        return named


def unapproved(folder: Path, in_force: InForce, rules: ApprovalRules) -> list[str]:
    """Why these policies may not be in force, in sentences that name cell, condition and the command to run; empty
    where they may: they open nothing that the approval in `folder` does not.

    Where they are exactly those that were approved nothing is enumerated; otherwise it takes seconds.
    """
    try:
        approval = approval_in(folder, rules)
        if approval.fingerprint == in_force.fingerprint:
            return []
        found = opened_beyond(approval, in_force, all_openings(in_force))
    except Misconfigured as error:
        return list(error.problems)
    said = [f"not approved: {sentence}." for sentences in found.names().values() for sentence in sentences]
    if not said:
        return []
    more = [f"not approved: {len(said) - MOST_SENTENCES} more."] if len(said) > MOST_SENTENCES else []
    return [
        f"{folder}: opens what {approval} does not.",
        *said[:MOST_SENTENCES],
        *more,
        f"Look at it and approve it: {command('approve', folder)}",
    ]


def approval_in(folder: Path, rules: ApprovalRules) -> Approval:
    """The approval of a folder of policies, signed as the rules ask. Raises `Misconfigured` with what is to be done
    where there is none, or none that counts."""
    try:
        approval = read_approval(folder / APPROVED)
    except FileNotFoundError:
        raise Misconfigured(
            [f"{folder / APPROVED}: there is none, so nothing is approved. Write: {command('approve', folder)}"]
        ) from None
    problem = unsigned(approval, rules)
    if problem:
        raise Misconfigured([f"{folder / APPROVED}: {problem}. Write: {command('approve', folder)} --key FILE"])
    return approval


def read_approval(file: Path) -> Approval:
    """The approval in a file, whoever signed it. Raises `FileNotFoundError`, or `Misconfigured` with a sentence."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ValueError("is not a file")
            return understood(opened.read(LARGEST + 1))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Misconfigured([f"{file}: {why(error)}"]) from None
    except ValueError as error:
        put_back = "Put back the file as it was, or look at what there is and write:"
        raise Misconfigured([f"{file}: {error}. {put_back} {command('approve', file.parent)}"]) from None


def unsigned(approval: Approval, rules: ApprovalRules) -> str:
    """What keeps the approval from counting, as the end of a sentence; empty where it has the signatures it must have.

    Raises `Misconfigured` where the keys cannot be read.
    """
    if rules.keys is None:
        return "" if rules.approvers == 1 else "two people must approve, and no keys are configured (approver_keys)"
    from gateway.policy_files.signatures import public_keys, signers  # megabytes, for those alone who want signatures

    try:
        found = signers(approval, public_keys(rules.keys))
    except ValueError as error:
        return str(error)
    if len(found) >= rules.approvers:
        return ""
    by = " and ".join(found) if found else "nobody"
    return f"{approval} is signed by {by} of those who may approve; {rules.approvers} must"


def opened_beyond(approval: Approval | None, in_force: InForce, opened: Openings) -> Beyond:
    """What these policies, which open `opened`, open beyond the approval; without one, all of it.

    Raises `Misconfigured` where the approved route table is no longer understood.
    """
    if approval is None:
        return Beyond(beyond(Openings({}), opened), [])
    parts = [change for change in compared(approval.routes(), in_force.routes) if change.opens]
    return Beyond(beyond(approval.openings(), opened), parts)


def all_openings(in_force: InForce) -> Openings:
    """What the policies open in every situation. Raises `Misconfigured` where they fail when they are asked."""
    try:
        return openings(in_force.policy)
    except (OsoError, PolicyDefect) as defect:
        raise Misconfigured([f"policies: they cannot be enumerated ({type(defect).__name__})."]) from None


def drawn_up(
    texts: Mapping[str, str],
    in_force: InForce,
    opened: Openings,
    *,
    number: int,
    replaces: int,
    by: str,
    because: str,
    reasons: Mapping[str, str],
    at: str,
) -> Approval:
    """An approval of these texts, which were loaded as `in_force` and open `opened`; signed by nobody yet."""
    policy = in_force.policy
    return Approval(
        number=number,
        replaces=replaces,
        fingerprint=in_force.fingerprint,
        at=at,
        by=by,
        because=because,
        reasons=dict(reasons),
        matrix=conditions(opened, policy.profiles, [row.slug for row in policy.rows]),
        texts=lines_of(texts),
    ).sealed()


def as_given(texts: Mapping[str, str], *, by: str, because: str) -> Approval:
    """An approval of exactly these texts and of nothing else: nobody has asked what they open."""
    return Approval(
        number=1,
        replaces=0,
        fingerprint=fingerprint(texts),
        at=now(),
        by=by,
        because=because,
        reasons={},
        matrix=(),
        texts=lines_of(texts),
    ).sealed()


def now() -> str:
    """This instant as approvals write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def command(name: str, folder: Path, config: Path | None = None) -> str:
    """The command to type, with this folder, and the configuration where one was named."""
    named = f" --config {shlex.quote(str(config))}" if config else ""
    return f"cafpro policy {name} {shlex.quote(str(folder))}{named}"
