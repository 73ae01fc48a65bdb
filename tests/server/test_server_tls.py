"""TLS: nothing old, nothing in clear, and nobody who lets a handshake wait holds a thread."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time

import pytest

from gateway.server.connection import Patience
from gateway.server.supervisor import tls_context

RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER of zero seconds: closing sends RST."""


@pytest.fixture(scope="module")
def guarded(tools, certificate):
    place = tools.Place(tls=tls_context(*certificate), patience=Patience(body=0.4))
    yield place
    place.close()


@contextlib.contextmanager
def secured(place, context):
    with place.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        yield client


def test_a_request_over_tls_is_answered_and_the_connection_stays(guarded, tools, trusting):
    with secured(guarded, trusting) as client:
        for number in range(3):
            client.sendall(tools.post("/body", b"%d" % number))
            shown = tools.read_one(client).shown
            assert shown["body"] == str(number)
            assert shown["wsgi.url_scheme"] == "https"


def test_a_large_request_and_a_large_answer_pass_whole(guarded, tools, trusting):
    with secured(guarded, trusting) as client:
        client.sendall(tools.post("/body", b"a" * 60_000))
        assert tools.read_one(client).shown["body"] == "a" * 60_000
        client.sendall(tools.get("/large/8388608"))
        time.sleep(0.2)
        assert tools.read_one(client).body == bytes(range(256)) * 32768


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_tls_from_1_2_on_is_spoken(guarded, tools, trusting, version):
    trusting.minimum_version = trusting.maximum_version = version
    with secured(guarded, trusting) as client:
        client.sendall(tools.get("/a"))
        assert tools.read_one(client).status == 200


@pytest.mark.filterwarnings("ignore:.*TLSv1.*is deprecated:DeprecationWarning")
def test_tls_before_1_2_is_refused(guarded, certificate):
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError), secured(guarded, context):
        pass


OLD_CIPHERS = {
    "keys of the certificate's, read by whoever gets hold of it later": "RSA+AESGCM",
    "encryption that does not authenticate": "ECDHE+AES:!AESGCM:!AESCCM",
    "keys of a finite field": "DHE",
    "keys without a certificate": "aNULL",
    "no encryption": "eNULL",
}


@pytest.mark.parametrize("ciphers", OLD_CIPHERS.values(), ids=OLD_CIPHERS)
def test_only_keys_of_the_connections_own_and_encryption_that_authenticates_are_spoken(guarded, trusting, ciphers):
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with pytest.raises(OSError), secured(guarded, trusting):
        pass


def test_every_cipher_that_is_offered_is_one_of_those(certificate):
    offered = [cipher["name"] for cipher in tls_context(*certificate).get_ciphers()]
    assert offered
    for name in offered:
        assert name.startswith(("ECDHE-", "TLS_AES_", "TLS_CHACHA20_")), name
        assert "GCM" in name or "CHACHA20" in name, name


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_nothing_is_compressed_and_http_1_1_is_what_is_spoken(guarded, trusting, version):
    trusting.minimum_version = trusting.maximum_version = version
    trusting.options &= ~ssl.OP_NO_COMPRESSION
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    with secured(guarded, trusting) as client:
        assert client.compression() is None
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.version() == version.name.replace("_", ".")


def test_nobody_renegotiates(guarded, certificate):
    """A client that asks for it in the middle of a connection is not served a second handshake."""
    arguments = ("s_client", "-connect", f"127.0.0.1:{guarded.port}", "-CAfile", str(certificate[0]), "-tls1_2")
    # To `s_client` a line that begins with R asks for it.
    asked = subprocess.run(["openssl", *arguments], input=b"R\n", capture_output=True, timeout=30, check=False)
    said = asked.stdout + asked.stderr
    assert b"Verify return code: 0" in said
    assert b"RENEGOTIATING" in said
    assert b"no renegotiation" in said


GARBAGE = {
    "a request in clear": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "noise": bytes(range(256)) * 4,
    "a record that is not a hello": b"\x17\x03\x03\x00\x05abcde",
    "half of a hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing": b"",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_not_tls_is_never_answered_in_clear(guarded, tools, garbage):
    guarded.town.seen.clear()
    with guarded.connect() as client:
        client.sendall(garbage)
        with contextlib.suppress(OSError):  # refused already
            client.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in tools.everything_or_reset(client)
    assert guarded.town.seen == []


def test_handshakes_that_wait_hold_no_thread(guarded, tools, trusting):
    with contextlib.ExitStack() as stack:
        for number in range(40):
            client = stack.enter_context(guarded.connect())
            client.sendall(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b"")
        client = stack.enter_context(secured(guarded, trusting))
        client.sendall(tools.get("/a"))
        assert tools.read_one(client).status == 200


def test_clients_that_were_gone_before_they_were_accepted_do_not_end_the_accepting(tools, certificate, trusting):
    def knock_and_run(place):
        for _ in range(20):
            client = place.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            client.close()

    place = tools.Place(tls=tls_context(*certificate), before=knock_and_run)
    try:
        for _ in range(6):
            with secured(place, trusting) as client:
                client.sendall(tools.get("/a"))
                assert tools.read_one(client).status == 200
        assert len(place.town.seen) == 6
    finally:
        place.close()


def test_an_answer_to_a_late_body_is_encrypted_too(guarded, tools, trusting):
    with secured(guarded, trusting) as client:
        client.sendall(tools.get("/body", "Content-Length: 100", method="POST") + b"ab")
        assert tools.read_one(client).shown["body"] == "late"


def test_an_answer_before_the_body_is_encrypted_too(guarded, tools, trusting):
    with secured(guarded, trusting) as client:
        client.sendall(tools.get("/a", "Content-Length: 100", method="POST") + b"ab")
        assert tools.read_one(client).status == 200


def test_a_refusal_is_encrypted_too(guarded, tools, trusting):
    with secured(guarded, trusting) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert tools.read_one(client).status == 400


def test_after_an_answer_is_given_up_nothing_follows_it_in_clear(tools, certificate, trusting):
    """What a client can still read is records of TLS to the last byte."""
    place = tools.Place(tls=tls_context(*certificate), patience=Patience(answer=0.4))
    try:
        with place.connect() as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65536))
            client.write(tools.get("/large/33554432"))
            plain.sendall(outgoing.read())
            end = time.monotonic() + tools.WAIT
            while not place.town.seen or place.worker._connections:
                assert time.monotonic() < end
                time.sleep(0.02)
            raw = tools.everything_or_reset(plain)
        assert len(raw) > 0
        while raw:
            assert raw[0] in (20, 21, 22, 23), "the type of a record"
            assert raw[1:3] == b"\3\3"
            raw = raw[5 + int.from_bytes(raw[3:5]) :]
    finally:
        place.close()


def test_a_certificate_that_cannot_be_used_is_an_error_at_the_start(tmp_path, certificate):
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    for pair in ((broken, certificate[1]), (certificate[0], broken), (tmp_path / "none", certificate[1])):
        with pytest.raises(OSError):
            tls_context(*pair)


def test_a_key_under_a_passphrase_is_refused_and_nobody_is_asked(tools, tmp_path, certificate):
    """On a terminal, where OpenSSL would ask and wait."""
    guarded_key = tmp_path / "guarded.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", certificate[1], "-aes256", "-passout", "pass:secret", "-out", guarded_key],
        check=True,
        capture_output=True,
    )
    code = "import sys; from pathlib import Path; from gateway.server.supervisor import tls_context\n"
    code += "try: tls_context(Path(sys.argv[1]), Path(sys.argv[2]))\nexcept OSError as error: print(error.strerror)"
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-c", code, str(certificate[0]), str(guarded_key)]
    # A session of its own: without a terminal that controls it, OpenSSL asks on this one.
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said = bytearray()
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while piece := os.read(ours, 4096):
                said += piece
                if b"PEM pass phrase" in said:
                    process.kill()
        os.close(ours)
        assert process.wait(tools.WAIT) == 0
    assert bytes(said).strip() == b"the key is under a passphrase; nobody is asked for one"
