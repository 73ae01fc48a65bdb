"""`cafpro policy approve`: what opens anything comes into force when somebody has said why, and signed it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.policy import differing
from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.policy.folder import rules as rules_of
from gateway.cli.policy.proposal import Proposal, proposal, reasons_given
from gateway.cli.speaking import MISUSE, leave
from gateway.errors import Misconfigured
from gateway.policy.enumeration import Enumerated
from gateway.policy_files.approval_text import LONGEST_TEXT, NAME, Approval, is_plain, readable, written
from gateway.policy_files.approved import APPROVED, ApprovalRules, command, now, unsigned
from gateway.policy_files.folder import read
from gateway.policy_files.history import PENDING, put_in_force, write
from gateway.policy_files.signatures import name_of, private_key, public_keys, signed, signers


@click.command(
    "approve",
    epilog="\b\nExample:\n"
    '  cafpro policy approve policies --by m.durand --reason "T4 enfants=decision 2026-12 of the committee"\n'
    '  cafpro policy approve policies --key m.durand.key --because "row 9 closed to T10"',
)
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that says who must sign.")
@click.option("--by", metavar="NAME", help="Who approves; with a key of `approver_keys`, its name.")
@click.option("--reason", "reasons", multiple=True, metavar='"T4 enfants=WHY"', help="For each opening; repeatable.")
@click.option("--because", metavar="WHY", help="For what opens nothing, and for the first approval of a folder.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Sign with this private key.")
def approve(
    folder: Path | None,
    config: Path | None,
    by: str | None,
    reasons: Sequence[str],
    because: str | None,
    key: Path | None,
) -> None:
    """Show what DIR opens and closes beside what is approved, and approve it.

    Each newly opened cell or part wants a reason. Where two must sign, the first run leaves an approval that puts
    nothing in force; the second person runs the same with a key of their own.
    """
    try:
        place = folder_of(folder, config).resolve()
        rules = rules_of(place, config)
        proposed = proposal(place, rules)
        who = _signer(rules, by, key)
        approval = _approval(proposed, rules, who, reasons, because)
        if approval:
            _write(proposed, approval, rules, command("approve", place, config))
    except Misconfigured as error:
        leave(error.problems)


@dataclass(frozen=True)
class _Signer:
    """Who approves; not named yet where nobody said so. Without a key nothing is signed."""

    name: str | None
    key: Ed25519PrivateKey | None


def _signer(rules: ApprovalRules, by: str | None, file: Path | None) -> _Signer:
    if by is not None:
        _plain("--by", by)
    if file is None:
        if rules.keys:
            leave([f"Approvals are signed here: --key FILE, of somebody in {rules.keys}."], status=MISUSE)
        return _Signer(by, None)
    key = private_key(file)
    if rules.keys is None:
        if by is None or not NAME.fullmatch(by):
            leave(
                [
                    "--by: who signs has a name in small letters without accents, digits, . _ and -",
                    "(With a configuration, --config FILE, it is the name of a key of `approver_keys`.)",
                ],
                status=MISUSE,
            )
        return _Signer(by, key)
    found = name_of(key, public_keys(rules.keys))
    if found is None:
        leave([f"{file}: is not the key of anybody who may approve ({rules.keys})."])
    if by not in (None, found):
        leave([f"--by: this is the key of {found}."], status=MISUSE)
    return _Signer(found, key)


def _approval(
    proposed: Proposal, rules: ApprovalRules, who: _Signer, reasons: Sequence[str], because: str | None
) -> Approval | None:
    """What is to be written; None where there is nothing to approve."""
    for sentence in proposed.said:
        click.echo(sentence, err=True)
    candidate = proposed.candidate
    if candidate and candidate is proposed.before and not unsigned(candidate, rules) and _has_signed(candidate, who):
        click.echo(f"{proposed.folder}: nothing to approve. These files are {candidate}.")
        return None
    if candidate and who.key and _has_signed(candidate, who):
        leave([f"{candidate} is signed by {who.name} already; somebody else must sign it too."])
    click.echo("Asking the policies in every situation …", err=True)
    new = proposed.enumerated()
    found = proposed.compared(new)
    differing.print_text(found, (_title(proposed.base), str(proposed.folder)))
    if candidate:
        if not proposed.candidate_is_true(new):
            leave([f"{_file(proposed)}: does not say what these policies open. Take it away and begin again."])
        if rules.keys:
            _verified(candidate, rules)
        _show(candidate)
        approval = candidate
    else:
        approval = _answered(proposed, proposed.beyond(new).names(), who, reasons, because).draw_up(proposed, new)
    return signed(approval, who.name, who.key) if who.key and who.name else approval


def _title(base: Approval | None) -> str:
    return f"approval {base.number}, by {base.by}" if base else "nothing approved"


def _has_signed(approval: Approval, who: _Signer) -> bool:
    """Whether a signature of theirs would add nothing."""
    if who.key is None or who.name is None:
        return True
    try:
        return bool(signers(approval, {who.name: who.key.public_key()}))
    except ValueError:
        return False


def _verified(candidate: Approval, rules: ApprovalRules) -> None:
    if rules.keys is None:
        return
    try:
        signers(candidate, public_keys(rules.keys))
    except ValueError as error:
        raise Misconfigured([f"{candidate} {error}."]) from None


def _show(candidate: Approval) -> None:
    click.echo(f"Proposed by {candidate.by}, {candidate.at}. {candidate.because}".rstrip())
    for name, why in candidate.reasons.items():
        click.echo(f"  {name}: {why}")


@dataclass(frozen=True)
class _Answers:
    """Who approves, a reason for each opening, and one for the rest."""

    by: str
    reasons: Mapping[str, str]
    because: str

    def draw_up(self, proposed: Proposal, new: Enumerated) -> Approval:
        return proposed.drawn_up(new, by=self.by, because=self.because, reasons=self.reasons, at=now())


def _answered(
    proposed: Proposal, opened: Mapping[str, Sequence[str]], who: _Signer, reasons: Sequence[str], because: str | None
) -> _Answers:
    """What was given, and what is typed now where somebody can be asked. Ends the command where it is not all there."""
    try:
        given = reasons_given(reasons, opened)
    except ValueError as error:
        leave([f"--reason: {error}"], status=MISUSE)
    # Where nothing is approved yet, everything opens: one reason stands for all.
    wanted = opened if proposed.base else {}
    unsaid = [name for name in wanted if name not in given]
    asked = {} if who.name else {"--by NAME": "Who approves?"}
    asked |= {f"--reason {shlex.quote(f'{name}=WHY')}": f"Why should it be open? {wanted[name][0]}" for name in unsaid}
    if because is None and not wanted:
        asked["--because WHY"] = "Why?"
    if asked and not sys.stdin.isatty():
        width = max(map(len, asked))
        options = [f"  {option:{width}}   {question}" for option, question in asked.items()]
        leave(["Not approved. Say, and run it again:", *options], status=MISUSE)
    typed = {option: str(click.prompt(question, err=True)).strip() for option, question in asked.items()}
    for name in unsaid:
        given[name] = typed[f"--reason {shlex.quote(f'{name}=WHY')}"]
    answers = _Answers(who.name or typed["--by NAME"], given, because or typed.get("--because WHY", ""))
    for text in (answers.by, *given.values(), *([answers.because] if answers.because else [])):
        _plain(text, text)
    return answers


def _plain(what: str, text: str) -> None:
    if not is_plain(text):
        leave([f"{what[:60]!r}: one line of visible characters, {LONGEST_TEXT} at most."], status=MISUSE)


def _file(proposed: Proposal) -> Path:
    return proposed.folder / (APPROVED if proposed.candidate is proposed.before else PENDING)


def _write(proposed: Proposal, approval: Approval, rules: ApprovalRules, again: str) -> None:
    readable(approval)
    problem = unsigned(approval, rules)
    with proposed.still_standing():
        if problem:
            write(proposed.folder / PENDING, written(approval))
        else:
            put_in_force(proposed.folder, approval, proposed.before)
    if problem:
        click.echo(f"{problem}.")
        click.echo("Nothing is in force yet. Somebody else who may approve runs:")
        click.echo(f"  {again} --key FILE")
        return
    click.echo(f"Approved: {approval}.")
    if read(proposed.folder) != proposed.texts:
        click.echo("The files have changed meanwhile: what was read before is approved, and not what is there now.")
