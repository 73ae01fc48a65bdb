"""The processes: one listening socket, N workers after a fork, each replaced when it dies, and one beside them.

SIGTERM and SIGINT end it all gracefully. SIGHUP is for the one beside the workers. All end by themselves when the
supervisor is gone.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import resource
import signal
import socket
import ssl
import time
import traceback
from collections.abc import Callable, Set
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.logs import get_logger
from gateway.loop.waking import Wakeful, noticed
from gateway.server.connection import Patience
from gateway.server.lanes import Lanes
from gateway.server.memory import share_one_heap
from gateway.server.shares import Share, Shares
from gateway.server.worker import Served, Worker

BACKLOG: Final = 4096
GRACE_SECONDS: Final = 12.0
RESPAWN_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 0.05
"""Between two attempts to have a process, or to end one."""
CANNOT_START: Final = 3
CRASHED: Final = 4
GARBAGE: Final = 5_000
"""Objects made and not freed again before the collector looks for circles among them."""
_PR_SET_PDEATHSIG: Final = 1

_log = get_logger()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    except (OverflowError, ValueError):
        listener.close()
        raise OSError(errno.EADDRNOTAVAIL, "no such address or port") from None
    listener.listen(BACKLOG)
    return listener


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 at least, with keys of each connection's own and encryption that authenticates; for HTTP/1.1 alone.

    Raises `OSError` (`ssl.SSLError` included); a key under a passphrase is one, since nobody is there to be asked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Those of TLS 1.3 are all of this kind, and not named here.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, password=_no_passphrase)
    return context


def _no_passphrase() -> str:
    # Without this OpenSSL asks on the terminal, and waits.
    raise OSError(errno.EACCES, "the key is under a passphrase; nobody is asked for one")


def supervise(
    make_application: Callable[[int], Served],
    listener: socket.socket,
    *,
    workers: int,
    lanes: Lanes,
    patience: Patience,
    tls: ssl.SSLContext | None,
    ended: Callable[[int], None] = lambda slot: None,
    leaving: Callable[[], None] = lambda: None,
    beside: Callable[[Callable[[], bool]], None] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> int:
    """Serve until SIGTERM or SIGINT. `make_application` is called in each worker, after the fork, with the worker's
    place (0 to `workers` - 1, a replacement's is its predecessor's) and gives what it serves. `ended` is told the place
    of a worker that is no more. `leaving` is called in a worker that is about to end by itself, whatever for.

    `beside` is called in a process of its own, with what says whether it is to go on; it serves nobody, is replaced
    when it ends, and is sent each SIGHUP of the supervisor's. What is being answered when it is to stop has
    `grace_seconds`.

    Returns the exit code: 0, or 1 when a worker could not make its application at the start. Later, with others at
    work, a replacement that cannot make its own is tried again.
    """
    _allow_many_descriptors()
    share_one_heap()
    supervisor = os.getpid()
    shares = Shares(workers)
    stopping = hung_up = False

    def stop(*_: Any) -> None:
        nonlocal stopping
        stopping = True

    def hang_up(*_: Any) -> None:
        nonlocal hung_up
        hung_up = True

    def worker(slot: int) -> int:
        share = shares.of(slot)
        return _work(partial(make_application, slot), listener, supervisor, lanes, patience, tls, grace_seconds, share)

    def spawn(process: Callable[[], int]) -> int:
        child = os.fork()
        if child == 0:
            code = CRASHED
            try:
                wakeful.forget()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                code = process()
            except BaseException:  # noqa: BLE001 - a worker must never run on as a second supervisor
                traceback.print_exc()
            finally:
                with suppress(BaseException):
                    leaving()
                os._exit(code)
        return child

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Whoever started us may ignore it, and then no child could be waited for.
    signal.signal(signal.SIGCHLD, noticed)
    wakeful = Wakeful()
    companion: set[int] = set()
    if beside:
        signal.signal(signal.SIGHUP, hang_up)
    # Nor may whoever started us hold them back: nothing but a signal ends the wait below.
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *((signal.SIGHUP,) if beside else ()))
    )
    # A collector writes on all that it looks at: what was made until now stays in pages that the processes share.
    gc.collect()
    gc.freeze()
    places = {spawn(partial(worker, slot)): slot for slot in range(workers)}
    first = frozenset(places)
    code = 0
    spawns_after = 0.0
    while not stopping:
        if beside and not companion and time.monotonic() >= spawns_after:
            hung_up = False  # who begins looks at everything: there is nothing to tell it
            with suppress(OSError):
                companion.add(spawn(partial(_accompany, beside, listener, supervisor)))
        complete = len(places) == workers and bool(companion or not beside)
        wakeful.wait(None if complete else AGAIN_SECONDS)
        if _ended(companion):
            companion.clear()
            _log.error("the process beside the workers ended and is replaced")
            spawns_after = time.monotonic() + RESPAWN_SECONDS
        elif hung_up and companion:
            hung_up = False
            os.kill(min(companion), signal.SIGHUP)
        gone = _ended(places.keys())
        for child, status in gone.items():
            slot = places.pop(child)
            shares.release(slot)
            ended(slot)
            exit_code = os.waitstatus_to_exitcode(status)
            if exit_code == CANNOT_START and child in first:
                stopping, code = True, 1
            elif not stopping:
                _log.error("a worker ended and is replaced", exit=exit_code)
                spawns_after = time.monotonic() + RESPAWN_SECONDS
        first -= gone.keys()
        free = set(range(workers)) - set(places.values())
        if not stopping and free and time.monotonic() >= spawns_after:
            # Where no process can be had now, it is asked for again.
            with suppress(OSError):
                slot = min(free)
                places[spawn(partial(worker, slot))] = slot
    listener.close()
    _stop({*places, *companion}, wakeful, grace_seconds)
    return code


def _stop(children: Set[int], wakeful: Wakeful, grace_seconds: float) -> None:
    """End the workers: gracefully, and those that do not end, by force."""
    now = again = time.monotonic()
    until = now + grace_seconds + 3
    while children and now < until:
        # Again and again: one that was just forked may not be listening yet.
        if now >= again:
            again = now + AGAIN_SECONDS
            for child in children:
                os.kill(child, signal.SIGTERM)
        wakeful.wait(AGAIN_SECONDS)
        children = children - _ended(children).keys()
        now = time.monotonic()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _ended(children: Set[int]) -> dict[int, int]:
    ended = {}
    for child in children:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            ended[found] = status
    return ended


def _work(
    make_application: Callable[[], Served],
    listener: socket.socket,
    supervisor: int,
    lanes: Lanes,
    patience: Patience,
    tls: ssl.SSLContext | None,
    grace_seconds: float,
    share: Share,
) -> int:
    going = True

    def stop(*_: Any) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole group, and so does a terminal that is closed: the supervisor decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        served = make_application()
    except SystemExit:
        return CANNOT_START
    except Exception:  # noqa: BLE001 - whatever it was, the next attempt would end the same way
        traceback.print_exc()
        return CANNOT_START
    worker = Worker(served, listener, lanes=lanes, patience=patience, tls=tls, share=share)
    # What was made until now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    # A request leaves no circles; what a refusal's traceback leaves can wait.
    gc.set_threshold(GARBAGE, 20, 20)
    worker.run(lambda: going and os.getppid() == supervisor, grace_seconds=grace_seconds)
    return 0


def _accompany(beside: Callable[[Callable[[], bool]], None], listener: socket.socket, supervisor: int) -> int:
    going = True

    def stop(*_: Any) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until `beside` says what is to be done then.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listener.close()
    # It may wait for a child of its own when the supervisor is killed, and would look up too late.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    beside(lambda: going and os.getppid() == supervisor)
    return 0


def _allow_many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
