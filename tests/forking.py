"""Children of a test that do one thing and end, whatever becomes of it: they never go on as a second test run."""

import os
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """The process id of a child that does `work` and ends."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """The exit code of a child, waited for; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
