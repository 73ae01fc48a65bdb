"""Approvals written beside the policies, each whole or not at all, and those before them, which can be put back.

`history/NNNN-FINGERPRINT/` holds approval NNNN and the files that it approved, for people to read and compare. What is
put back comes out of the approval itself, which its digest and its signatures cover.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import Misconfigured
from gateway.policy.lint import FILES
from gateway.policy.loading import fingerprint
from gateway.policy_files.approval_text import Approval, readable, written
from gateway.policy_files.approved import APPROVED, ApprovalRules, approval_in, as_given, read_approval
from gateway.policy_files.folder import ROUTES, read, why
from gateway.policy_files.watching import seen

HISTORY: Final = "history"
PENDING: Final = "approved.pending.json"
"""An approval that wants another signature: it puts nothing in force."""
_ENTRY: Final = re.compile(r"([0-9]{4})-([0-9a-f]{12})", re.ASCII)
_SHOWN_DIGITS: Final = 12


class Standing(NamedTuple):
    """What stands in a folder of policies: for its approval and the one that waits for a signature (`watching.seen`),
    and the numbers in its history."""

    approved: str
    pending: str
    numbers: tuple[int, ...]


def standing(folder: Path) -> Standing:
    """What stands there now. Raises `Misconfigured` where the history is none."""
    return Standing(seen(folder / APPROVED), seen(folder / PENDING), tuple(numbered(folder)))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else approves or puts back anything in this folder while the block lasts; whoever wants to waits for it.
    Not to be held while a person is asked. Raises `Misconfigured` where the folder cannot be locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured([f"{folder}: {why(error)}"]) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise Misconfigured([f"{folder}: cannot be locked ({error.strerror})."]) from None
        yield
    finally:
        os.close(descriptor)


def numbered(folder: Path) -> dict[int, Path]:
    """The approvals in the history of a folder of policies, by number. Raises `Misconfigured` where it is none."""
    history = folder / HISTORY
    if not os.path.lexists(history):
        return {}
    try:
        if history.is_symlink() or not history.is_dir():
            raise Misconfigured([f"{history}: must be a folder, and not a link to one."])
        entries = [(found, path) for path in history.iterdir() if (found := _ENTRY.fullmatch(path.name))]
    except OSError as error:
        raise Misconfigured([f"{history}: {why(error)}"]) from None
    numbers: dict[int, Path] = {}
    for found, path in sorted(entries, key=lambda entry: entry[1].name):
        if numbers.setdefault(int(found[1]), path) != path:
            raise Misconfigured([f"{history}: holds two approvals {found[1]}. Take away the one that is not yours."])
    return numbers


def kept(folder: Path, number: int) -> Approval:
    """The approval of this number in the history. Raises `Misconfigured` where it is not there, or not itself."""
    path = numbered(folder).get(number)
    if path is None:
        raise Misconfigured([f"{folder / HISTORY}: holds no approval {number}."])
    try:
        approval = read_approval(path / APPROVED)
    except FileNotFoundError:
        raise Misconfigured([f"{path / APPROVED}: the file is missing."]) from None
    if path.name != _name(approval):
        raise Misconfigured([f"{path}: holds {approval}, which is not what its name says."])
    return approval


def next_number(folder: Path, before: Approval | None) -> int:
    """The number of the next approval: no approval of this folder has had it."""
    return max([*numbered(folder), before.number if before else 0]) + 1


def keep(folder: Path, approval: Approval) -> Path:
    """Its place in the history, where it is put unless it is there. Raises `Misconfigured`."""
    place = folder / HISTORY / _name(approval)
    if approval.number in numbered(folder):
        if kept(folder, approval.number).content() != approval.content():
            raise Misconfigured([f"{folder / HISTORY}: holds another approval {approval.number} than {APPROVED} does."])
        write(place / APPROVED, written(approval))  # it may have more signatures now
        return place
    files = {**{name: text.encode() for name, text in approval.files().items()}, APPROVED: written(approval)}
    return _put_folder(place, files)


def put_in_force(folder: Path, approval: Approval, before: Approval | None) -> None:
    """Make this the approval of the folder, and keep it and the one before in the history. Raises `Misconfigured`."""
    readable(approval)
    if before:
        keep(folder, before)
    keep(folder, approval)
    write(folder / APPROVED, written(approval))
    withdraw(folder)


def take_as_approved(folder: Path) -> None:
    """Make what the folder holds, exactly as it is, what is approved, unless it is: the demo asks nobody.

    Raises `Misconfigured` where its files cannot be read.
    """
    texts = read(folder)
    try:
        if approval_in(folder, ApprovalRules()).fingerprint == fingerprint(texts):
            return
    except Misconfigured:
        pass  # nothing that counts is approved
    given = as_given(texts, by="cafpro demo", because="The demo takes the folder it is given as approved.")
    write(folder / APPROVED, written(given))


def withdraw(folder: Path) -> None:
    """Nothing waits for a signature any more."""
    (folder / PENDING).unlink(missing_ok=True)


def put_back(folder: Path, approval: Approval, before: Approval | None) -> Path | None:
    """The files that `approval` approved, and then it, in the place of those in the folder. Where these are not as
    `before` approved them they are kept too: the place in the history.

    Each file is replaced at once, the approval last: what is half put back is held to the approval before, and where
    it ended early it can be begun again.
    """
    if before:
        keep(folder, before)
    texts = {name: text.encode() for name, text in approval.files().items()}
    kept_at = _keep_others(folder, texts, {} if before is None else before.files())
    for name, content in texts.items():
        write(folder / name, content)
    for stray in (path for path in folder.glob("*.polar") if path.name not in FILES):
        stray.unlink()
    write(folder / APPROVED, written(approval))
    withdraw(folder)
    return kept_at


def _keep_others(folder: Path, texts: Mapping[str, bytes], before: Mapping[str, str]) -> Path | None:
    """The folder's files, where they are neither these nor those before: nobody has approved them, but someone has
    written them."""
    names = dict.fromkeys((*FILES, ROUTES, *(path.name for path in folder.glob("*.polar"))))
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    if found in (texts, {name: text.encode() for name, text in before.items()}):
        return None
    history = folder / HISTORY
    history.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="replaced-", dir=history))
    for name, content in found.items():
        write(place / name, content)
    return place


def write(file: Path, content: bytes) -> None:
    """Put a file in the place of another, whole or not at all, and durably. A link is replaced, not followed.

    Raises `Misconfigured`."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fchmod(opened.fileno(), _mode(file))
                os.fsync(opened.fileno())
            os.replace(temporary, file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _settle(file.parent)
    except OSError as error:
        raise Misconfigured([f"{file}: cannot be written ({error.strerror})."]) from None


def _put_folder(place: Path, files: Mapping[str, bytes]) -> Path:
    try:
        place.parent.mkdir(exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        try:
            making.chmod(0o755)
            for name, content in files.items():
                write(making / name, content)
            making.rename(place)
        except BaseException:
            shutil.rmtree(making)
            raise
        _settle(place.parent)
    except OSError as error:
        raise Misconfigured([f"{place}: cannot be written ({error.strerror})."]) from None
    return place


def _mode(file: Path) -> int:
    """As the file was, or readable: the gateway may run as another user than whoever approves."""
    try:
        return file.stat().st_mode & 0o775
    except OSError:
        return 0o644


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(approval: Approval) -> str:
    return f"{approval.number:04}-{approval.fingerprint[:_SHOWN_DIGITS]}"
