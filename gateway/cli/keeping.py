"""What keeps the policies of a gateway that serves, joined by hand: the board before the fork, and the process beside
the workers, which erases what has served its time, too."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.app import load_approved, policies_folder
from gateway.cli.erasing import begin_erasing
from gateway.cli.log import SINK, Stream, write_log
from gateway.errors import Misconfigured
from gateway.metrics.counts import Row
from gateway.policy_files.approved import ApprovalRules
from gateway.policy_files.board import Accepted, Board
from gateway.policy_files.control import Control
from gateway.policy_files.examining import examined
from gateway.policy_files.keeping import Keeper
from gateway.policy_files.shadow import Draft, Tally
from gateway.policy_files.watching import look
from gateway.record.shadow import ShadowBook, open_shadow_book
from gateway.settings import Settings


class Teller:
    """How the workers tell the process beside them what they decide: all write into one end."""

    def __init__(self) -> None:
        self.worker, self.keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def put_up(settings: Settings) -> Board:
    """A board with the policies that the settings name. Raises `Misconfigured` where they cannot be read, or may not
    decide."""
    found = look(policies_folder(settings), settings.policies.approver_keys)
    if found.texts is None:
        raise Misconfigured(found.problems)
    load_approved(settings, found.texts)
    board = Board(settings.server.workers)
    board.accept(Accepted(found.fingerprint, found.texts, found.mark))
    return board


def keep(
    settings: Settings, config: Path, board: Board, teller: Teller | None, counted: Row, keep_on: Callable[[], bool]
) -> None:
    """The life of the process beside the workers."""
    sys.stderr = Stream(SINK)
    write_log()
    begin_erasing(settings)
    drafted = settings.policies.draft
    draft = None
    if drafted and teller:
        draft = Draft(
            drafted,
            teller.keeper,
            examine=lambda found: examined(found, drafted, None),  # it decides nothing: nobody approves it
            write=Writing(settings),
        )
    folder = policies_folder(settings)
    rules = ApprovalRules(settings.policies.approvers, settings.policies.approver_keys)
    Keeper(
        folder,
        board,
        examine=lambda found: examined(found, folder, rules),
        every=settings.policies.reload_seconds,
        control=Control(config),
        counted=counted,
        keys=rules.keys,
        draft=draft,
    ).run(keep_on)


class Writing:
    """Adds what a draft would change to the record's database, opened when there is something to add."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.record.url
        self._book: ShadowBook | None = None

    def __call__(self, draft: str, against: str, tally: Tally) -> None:
        self._book = self._book or open_shadow_book(self._url, make=False)
        self._book.add(
            draft,
            against,
            compared=tally.compared,
            failed=tally.failed,
            lost=tally.lost,
            cells=tally.cells,
            now=int(time.time()),
        )
