"""TLS with the backend on connections that are kept: its certificate is verified, and ours shown if it asks for one."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Final

import requests

from gateway.loop.loop import NEVER, READ, WRITE, Timer
from gateway.loop.task import Task
from gateway.proxy.failures import shortage


class ClientTls:
    """What is believed of a backend, and what is shown to it."""

    def __init__(self, ca: Path, certificate: Path | None, key: Path | None) -> None:
        """`ca` holds the certificates of the authorities, or of some below them. The files are read when a connection
        needs them, and again when they have changed."""
        self._ca, self._certificate, self._key = ca, certificate, key
        self._context: ssl.SSLContext | None = None
        self._read: list[tuple[int, int, int]] = []
        """The files as they were read: inode, size, time of change."""

    def encrypt(self, task: Task, connection: socket.socket, host: str, until: float) -> ssl.SSLSocket:
        """The connection under TLS with `host`, before `until` on the monotonic clock. It waits in `task`. Raises
        `requests.Timeout` or `requests.ConnectionError`, and the connection is closed."""
        encrypted = connection
        try:
            encrypted = self._current().wrap_socket(
                connection, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            _shake_hands(task, encrypted, until)
        except BaseException as error:
            encrypted.close()
            connection.close()
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
                missing = shortage(error.errno)
                if missing:
                    raise missing from None
            # ValueError: a host that cannot be one, a certificate that is not for any.
            if isinstance(error, (OSError, ValueError)) and not isinstance(error, requests.RequestException):
                raise requests.ConnectionError(f"TLS: {_in_words(error)}") from None
            raise
        return encrypted

    def _current(self) -> ssl.SSLContext:
        files = [file.stat() for file in (self._ca, self._certificate, self._key) if file]
        found = [(file.st_ino, file.st_size, file.st_mtime_ns) for file in files]
        if self._context is None or found != self._read:
            self._context, self._read = self._made(), found
        return self._context

    def _made(self) -> ssl.SSLContext:
        # Not `create_default_context`, which reads the environment.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Cut off is not closed: an answer whose end is the connection's would look whole.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        context.load_verify_locations(self._ca)
        if self._certificate and self._key:
            # To a key under a passphrase, a wrong one: without any, OpenSSL asks on the terminal, and waits.
            context.post_handshake_auth = True  # asked for with the first answer, by some
            context.load_cert_chain(self._certificate, self._key, password=_WRONG)
        return context


_WRONG: Final = "none"


def _shake_hands(task: Task, connection: ssl.SSLSocket, until: float) -> None:
    loop, descriptor = task.loop, connection.fileno()
    late = False

    def expire() -> None:
        nonlocal late
        late = True
        task.switch()

    timer = Timer(loop, expire)
    timer.set(until - time.monotonic())
    try:
        while True:
            try:
                connection.do_handshake()
                return
            except ssl.SSLWantReadError:
                events = READ
            except ssl.SSLWantWriteError:
                events = WRITE
            loop.watch(descriptor, events, lambda _: task.switch())
            loop.hub.switch()
            if late:
                raise requests.Timeout("the deadline passed")
    finally:
        timer.set(NEVER)
        loop.unwatch(descriptor)


def _in_words(error: Exception) -> str:
    """What is wrong, without anything that the backend could have written."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return str(error.reason)
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror} ({error.filename})"
    return type(error).__name__
