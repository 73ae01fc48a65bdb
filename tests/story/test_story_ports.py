"""A machine with few ports towards its backend: documents take none for longer than they last, and where none is left
the backend is not blamed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.story.running import PATIENCE, Backend, Gateway, is_problem
from upstream_stub.dossiers import dossier_text

_NO_NETWORK = "A network with few ports is a namespace that only root can make: run as root (`unshare -rn` will do)."
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1

FAMILIES = ("9990001", "9990003", "9990004", "9990005")
PORTS = 40


def of(number: int) -> str:
    """The address of a document of one family after the other."""
    family = FAMILIES[number % len(FAMILIES)]
    return f"/dossiers/{family}/attestations/ap-{family}-0.pdf"


def in_a_network_of_its_own(work: Callable[[], None]) -> None:
    """`work`, in a thread that sees another loopback and settings of its own, as do the processes it starts."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail(_NO_NETWORK)
        pytest.skip(_NO_NETWORK)

    def apart() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network of its own")
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        work()

    with ThreadPoolExecutor(1) as hand:
        hand.submit(apart).result()


def leave_ports(many: int) -> None:
    """In this network no more than so many are left to whoever calls, each for a minute after its use."""
    settings = Path("/proc/sys/net/ipv4")
    (settings / "tcp_tw_reuse").write_text("0")
    (settings / "ip_local_port_range").write_text(f"40000 {40000 + many - 1}")


def started(folder: Path, backend: Backend, **settings: str) -> tuple[Gateway, dict[str, str]]:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    gateway = Gateway(folder, upstream=backend.url, settings=named, policies=None, variables={})
    gateway.enter("t1", "T1")
    return gateway, gateway.log_in("t1")


def answer(path: str) -> tuple[int, dict[str, str], bytes]:
    if path.endswith(".pdf"):
        return 200, {"Content-Type": "application/pdf"}, b"%PDF-1.4"
    whole = dossier_text(path[-7:])
    assert whole
    return 200, {"Content-Type": "application/json"}, whole


def test_more_documents_than_there_are_ports_are_all_answered(tmp_path):
    def work() -> None:
        backend = Backend(answer)
        try:
            gateway, session = started(tmp_path, backend)
            try:
                leave_ports(PORTS)
                found = Counter(gateway.ask(of(number), session).status for number in range(3 * PORTS))
            finally:
                gateway.stop()
        finally:
            backend.close()
        assert found == {200: 3 * PORTS}

    in_a_network_of_its_own(work)


def test_where_no_port_is_left_the_backend_is_not_blamed_and_what_needs_none_is_answered(tmp_path):
    open_again, held = threading.Event(), threading.Semaphore(0)

    def hold(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith(".pdf"):
            held.release()
            open_again.wait(PATIENCE)
        return answer(path)

    def work() -> None:
        backend = Backend(hold)
        try:
            gateway, session = started(tmp_path, backend, server__concurrency="64")
            try:
                assert gateway.ask(f"/dossiers/{FAMILIES[0]}", session).status == 200  # its connection is kept
                leave_ports(4)
                with ThreadPoolExecutor(4) as hands:
                    under_way = [hands.submit(gateway.ask, of(number), session) for number in range(4)]
                    for _ in under_way:
                        assert held.acquire(timeout=PATIENCE)
                    for number in range(30):
                        refused = gateway.ask(of(number), session)
                        is_problem(refused, 502, "GW402")
                        assert "no port" in gateway.recorded(refused)["because"]
                    assert gateway.ask(f"/dossiers/{FAMILIES[0]}", session).status == 200
                    open_again.set()
                    for one in under_way:
                        assert one.result().status == 200
                assert gateway.ask(of(0), session).status == 200
            finally:
                open_again.set()
                gateway.stop()
        finally:
            backend.close()

    in_a_network_of_its_own(work)
