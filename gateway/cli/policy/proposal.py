"""What `cafpro policy approve` is asked to approve: the folder as it is, beside what is approved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.policy.difference import difference, profiles_compared, rubrics_compared
from gateway.policy.enumeration import Enumerated, Openings
from gateway.policy.layout import near
from gateway.policy.lint import read_folder
from gateway.policy_files.approval_text import Approval
from gateway.policy_files.approved import (
    APPROVED,
    ApprovalRules,
    Beyond,
    all_openings,
    drawn_up,
    opened_beyond,
    read_approval,
    unsigned,
)
from gateway.policy_files.comparison import Comparison
from gateway.policy_files.folder import ROUTES, InForce, load_texts, read
from gateway.policy_files.history import PENDING, Standing, alone_in, kept, next_number, numbered, standing
from gateway.redaction.compared import compared
from gateway.redaction.table import RouteTable


@dataclass(frozen=True)
class Proposal:
    """`before` is the approval that stands in the folder, `base` the one that this is compared with, where it counts;
    `candidate` is an approval of these very texts that wants another signature."""

    folder: Path
    texts: Mapping[str, str]
    in_force: InForce
    before: Approval | None
    base: Approval | None
    candidate: Approval | None
    said: tuple[str, ...]
    """What is wrong with what stands there, in sentences."""
    standing: Standing
    """What all of this was read from, beside the texts."""

    @contextmanager
    def still_standing(self) -> Iterator[None]:
        """What the block writes is about what stands in the folder. Raises `Misconfigured` where somebody else has
        approved, signed or put back anything since it was read."""
        with alone_in(self.folder):
            if standing(self.folder) != self.standing:
                raise Misconfigured(
                    [
                        f"{self.folder}: somebody else has approved, signed or put back something here meanwhile. "
                        "Nothing was written: look at what there is now, and run it again."
                    ]
                )
            yield

    def enumerated(self) -> Enumerated:
        """What it opens, in seconds. Raises `Misconfigured` where it cannot be asked."""
        policy = self.in_force.policy
        return Enumerated(policy.fingerprint, policy.profiles, policy.rows, all_openings(self.in_force))

    def compared(self, new: Enumerated) -> Comparison:
        """With `base`. Raises `Misconfigured` where that is no longer understood."""
        old, table = _approved(self.base)
        return Comparison(
            old,
            new,
            tuple(difference(old.openings, new.openings)),
            profiles_compared(old, new),
            rubrics_compared(old, new),
            tuple(compared(table, self.in_force.routes)),
        )

    def beyond(self, new: Enumerated) -> Beyond:
        """What it opens beyond `base`."""
        return opened_beyond(self.base, self.in_force, new.openings)

    def drawn_up(self, new: Enumerated, *, by: str, because: str, reasons: Mapping[str, str], at: str) -> Approval:
        """The approval of it, signed by nobody yet. Raises `Misconfigured`."""
        return drawn_up(
            self.texts,
            self.in_force,
            new.openings,
            number=next_number(self.folder, self.before),
            replaces=self.before.number if self.before else 0,
            by=by,
            because=because,
            reasons=reasons,
            at=at,
        )

    def candidate_is_true(self, new: Enumerated) -> bool:
        """Whether the candidate says of the policies what they say themselves: it may have been written by hand."""
        one = self.candidate
        if one is None:
            return False
        redrawn = drawn_up(
            self.texts,
            self.in_force,
            new.openings,
            number=one.number,
            replaces=one.replaces,
            by=one.by,
            because=one.because,
            reasons=one.reasons,
            at=one.at,
        )
        return redrawn.content() == one.content()


def proposal(folder: Path, rules: ApprovalRules) -> Proposal:
    """What the folder proposes now. Raises `Misconfigured` where its policies are refused."""
    stands = standing(folder)  # before anything that it holds is read: what comes in between is noticed
    texts = read(folder)
    in_force = load_texts(texts)
    said: list[str] = []
    before = _readable(folder / APPROVED, said) or _latest(folder)
    pending = _readable(folder / PENDING, said)
    if pending and not _follows(folder, pending, before, in_force):
        said.append(f"{folder / PENDING}: is about something else than is here now; it will be replaced.")
        pending = None
    if before and before.fingerprint == in_force.fingerprint and not pending:
        earlier = kept(folder, before.replaces) if before.replaces in numbered(folder) else None
        return Proposal(folder, texts, in_force, before, earlier, before, tuple(said), stands)
    base = before
    if base and (problem := unsigned(base, rules)):
        said.append(f"{folder / APPROVED}: {problem}, so it does not count: everything is shown as newly opened.")
        base = None
    return Proposal(folder, texts, in_force, before, base, pending, tuple(said), stands)


def _readable(file: Path, said: list[str]) -> Approval | None:
    try:
        return read_approval(file)
    except FileNotFoundError:
        return None
    except Misconfigured as error:
        said.extend(error.problems)
        return None


def _latest(folder: Path) -> Approval | None:
    """The last one that was ever approved, where the one that should stand in the folder is missing or spoilt."""
    numbers = numbered(folder)
    return kept(folder, max(numbers)) if numbers else None


def _follows(folder: Path, pending: Approval, before: Approval | None, in_force: InForce) -> bool:
    """Whether it is an approval of what is in the folder, in the place of the one that stands there, or that one."""
    if before and pending.content() == before.content():
        return True
    return (
        pending.fingerprint == in_force.fingerprint
        and pending.replaces == (before.number if before else 0)
        and pending.number == next_number(folder, before)
    )


def _approved(base: Approval | None) -> tuple[Enumerated, RouteTable]:
    if base is None:
        return Enumerated("nothing", {}, (), Openings({})), RouteTable([])
    polar = {name: text for name, text in base.files().items() if name != ROUTES}
    folder, problems = read_folder(polar)
    if folder is None:
        raise Misconfigured([f"approved: {problem}" for problem in problems])
    return Enumerated(base.fingerprint, folder.profiles, folder.rows, base.openings()), base.routes()


def reasons_given(written: Iterable[str], openings: Iterable[str]) -> dict[str, str]:
    """The reason for each opening that `NAME=WHY` or `NAME, NAME=WHY` gives one for.

    Raises `ValueError` with a sentence for one that is about nothing that is newly opened.
    """
    known = list(openings)
    found: dict[str, str] = {}
    for text in written:
        names, equals, why = text.partition("=")
        if not equals or not why.strip():
            raise ValueError(f'`{text}` must be written NAME=WHY, such as "T4 enfants=decision 2026-12".')
        for name in [names.strip()] if names.strip() in known else [one.strip() for one in names.split(",")]:
            if name not in known:
                raise ValueError(f"`{name}` is not newly opened.{near(name, known)}")
            if name in found:
                raise ValueError(f"`{name}` has two reasons.")
            found[name] = why.strip()
    return found
