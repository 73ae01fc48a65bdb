"""An identity provider of the tests' own, on loopback: has keys, publishes them, signs tokens, fails on demand."""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests.story.running import PATIENCE, Certificate

AUDIENCE = "https://cafpro.example"
SERIAL = itertools.count(1)
MAKE: Mapping[str, Callable[[], Key]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "RS256": lambda: RSAKey.generate_key(2048),
    "PS256": lambda: RSAKey.generate_key(2048),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}


MODELS = {model.name: model for model in JWS_ALGORITHMS}


def part(value: object) -> str:
    """A part of a token: bytes as they are, anything else as JSON."""
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header: object, claims: object, key: Key, *, algorithm: str) -> str:
    """A token of exactly this header and these claims, signed by `algorithm` whatever they say."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(MODELS[algorithm].sign(text.encode(), key))}"


def public(key: Key, name: str, **members: object) -> dict[str, Any]:
    """An entry of a key set (RFC 7517)."""
    return {**key.as_dict(private=False), "kid": name, "use": "sig", **members}


class Provider:
    """Serves its key set, and counts how often it was asked for it."""

    def __init__(self, algorithm: str = "ES256", *, certificate: Certificate | None = None) -> None:
        self.algorithm = algorithm
        self.asked = 0
        self.came = threading.Event()
        """Somebody has asked since it was cleared."""
        self.answers: Callable[[], tuple[int, Mapping[str, str], bytes]] | None = None
        """What it answers instead of its set."""
        self.rotate()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                provider.asked += 1
                provider.came.set()
                status, headers, body = (provider.answers or provider.published)()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # whoever asked has seen enough

            def log_message(self, *_: Any) -> None:
                return None

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # The gateway resets what it closes.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        scheme = "http"
        if certificate:
            scheme = "https"
            self._server.socket = certificate.serving().wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._serving.start()

    def rotate(self) -> None:
        """Another key under another name; the one before is no longer published."""
        self.key, self.name = MAKE[self.algorithm](), f"key-{next(SERIAL)}"
        self.keys = [public(self.key, self.name)]

    def published(self) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {"Content-Type": "application/jwk-set+json"}, json.dumps({"keys": self.keys}).encode()

    def claims(self, subject: str = "t4", **others: object) -> dict[str, Any]:
        """What its tokens say; a claim that is None is left out."""
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300, "pagm": "PAGM-T4"}
        return {name: value for name, value in {**said, **others}.items() if value is not None}

    def header(self, **others: object) -> dict[str, Any]:
        said = {"typ": "JWT", "alg": self.algorithm, "kid": self.name, **others}
        return {name: value for name, value in said.items() if value is not None}

    def token(self, subject: str = "t4", **claims: object) -> str:
        """A good token, but for what is given."""
        return signed(self.header(), self.claims(subject, **claims), self.key, algorithm=self.algorithm)

    def bearer(self, subject: str = "t4", **claims: object) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(subject, **claims)}"}

    def entry(self, partner: str, *lines: str, profiles: Mapping[str, str] | None = None) -> str:
        """Its `[[issuer]]`, with more lines; the claim `pagm` says the profile where there are `profiles`."""
        written = [
            "[[issuer]]",
            f'issuer = "{self.url}"',
            f'audience = "{AUDIENCE}"',
            f'algorithms = ["{self.algorithm}"]',
            f'partner = "{partner}"',
            *(lines or [f'jwks_url = "{self.url}/jwks"']),
        ]
        if profiles:
            written += ['profile_claim = "pagm"', "[issuer.profiles]"]
            written += [f'"{value}" = "{profile}"' for value, profile in profiles.items()]
        return "\n".join(written) + "\n"

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Whoever asks meanwhile gets nothing until the end of it."""
        released = threading.Event()

        def wait() -> tuple[int, Mapping[str, str], bytes]:
            released.wait(PATIENCE)
            return self.published()

        self.came.clear()
        self.answers = wait
        try:
            yield
        finally:
            self.answers = None
            released.set()

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


def issuers_file(folder: Path, *entries: str) -> Path:
    file = folder / "issuers.toml"
    file.write_text("\n".join(entries), "utf-8")
    return file
