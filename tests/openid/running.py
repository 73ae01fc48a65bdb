"""The provider's process, a browser that keeps cookies as browsers do, and the way from one to the other and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.proxy.credentials import csrf_token
from tests.ports import free_port
from tests.story.running import Answer, Client, Gateway, Process

SECRET = "un-secret-de-client-de-quarante-caracteres"
PARTNER = "Partenaire t4"
SIRET = "73282932000074"
OTHER_SIRET = "35600000000048"


class Provider:
    """An OpenID provider that runs in a process of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "idp",
        userinfo: str = "jwt",
        algorithm: str = "ES256",
        auth: str = "post",
        announce: bool = True,
        ends: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self.name, self.userinfo, self.algorithm, self.auth, self.announce = name, userinfo, algorithm, auth, announce
        self.ends = ends
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self.folder = folder
        arguments = [
            *("tests.openid.provider", "--host", host, "--port", str(self.port), "--secret", SECRET),
            *("--auth", f"client_secret_{auth}", "--algorithm", algorithm, f"--userinfo={userinfo}"),
            *(["--announce"] if announce else []),
        ]
        variables = {"PYTHONWARNINGS": "ignore", "AUTHLIB_INSECURE_TRANSPORT": "1"}
        self._process = Process(arguments, folder / f"{name}.log", variables=variables, cwd=Path(__file__).parents[2])

    def ready(self) -> None:
        """Returns when it answers. Several start side by side."""
        self._process.answers(f"{self.url}/up")

    def entry(self, *lines: str, without: tuple[str, ...] = (), **changed: str) -> str:
        """Its `[[provider]]`, with more lines, values changed, or without some."""
        secret = self.folder / "client.secret"
        secret.write_text(f"{SECRET}\n")
        os.chmod(secret, 0o600)
        written = {
            "name": self.name,
            "issuer": self.url,
            "client_id": "cafpro",
            "client_secret_file": str(secret),
            "client_auth": self.auth,
            "authorization_url": f"{self.url}/authorize",
            "token_url": f"{self.url}/token",
            "jwks_url": f"{self.url}/jwks",
            "siret_claim": "siret",
            "account_claim": "uid",
            **({"userinfo_url": f"{self.url}/userinfo", "userinfo": self.userinfo} if self.userinfo else {}),
            **({"end_session_url": f"{self.url}/session/end"} if self.ends else {}),
            **changed,
        }
        entries = [f'{key} = "{value}"' for key, value in written.items() if key not in without]
        announced = f"announces_issuer = {str(self.announce).lower()}"
        return "\n".join(["[[provider]]", *entries, f'algorithms = ["{self.algorithm}"]', announced, *lines]) + "\n"

    def serves(self, gateway: Gateway) -> None:
        """This gateway is its client: agents may be sent back there."""
        own = f"{gateway.url}/-/openid/{self.name}"
        self._post("/tests/callbacks", [f"{own}/callback", f"{own}/logged-out"])

    def knows(self, login: str, **claims: Any) -> None:
        """Someone who can log in there with the password `mot-de-passe`, and what it says of them."""
        said = {"sub": f"sub-{login}", "uid": login, "siret": SIRET, **claims}
        said = {name: value for name, value in said.items() if value is not None}
        self._post("/tests/users", {login: {"password": "mot-de-passe", "claims": said}})

    @contextmanager
    def bent(self, **how: Any) -> Iterator[None]:
        """It lies so meanwhile."""
        self._post("/tests/bend", how)
        try:
            yield
        finally:
            self._post("/tests/bend", {})

    def rotate(self, *, publish: bool = True) -> None:
        self._post("/tests/rotate", {"publish": publish})

    def signs(self, claims: Mapping[str, Any]) -> str:
        return self._post("/tests/sign", claims).body.decode()

    def asked(self) -> list[str]:
        """What it was asked for, in order."""
        with closing(Client(self.url)) as client:
            return list(client.ask("/tests/asked").json())

    def ended(self) -> list[str]:
        """Whose sessions it has ended, in order."""
        with closing(Client(self.url)) as client:
            return list(client.ask("/tests/ended").json())

    def end_session(self, address: str) -> Answer:
        """What it answers a browser that is sent there to log out."""
        parts = urlsplit(address)
        with closing(Client(f"{parts.scheme}://{parts.netloc}")) as client:
            return client.ask(f"{parts.path}?{parts.query}")

    def authenticate(self, address: str, login: str, password: str = "mot-de-passe", **form: str) -> str:
        """Someone logs in at the page to which they were sent; where they are sent then."""
        parts = urlsplit(address)
        with closing(Client(f"{parts.scheme}://{parts.netloc}")) as client:
            target = f"{parts.path}?{parts.query}"
            page = client.ask(target)
            assert (page.status, b"<form" in page.body) == (200, True), page
            body = urlencode({"login": login, "password": password, **form}).encode()
            answer = client.ask(target, {"Content-Type": "application/x-www-form-urlencoded"}, method="POST", body=body)
        assert answer.status == 302, answer
        return answer.one("Location")

    def _post(self, path: str, body: object) -> Answer:
        with closing(Client(self.url)) as client:
            headers = {"Content-Type": "application/json"}
            answer = client.ask(path, headers, method="POST", body=json.dumps(body).encode())
        assert answer.status == 200, answer
        return answer

    def close(self) -> None:
        self._process.end()


class Browser:
    """Keeps the cookies of one gateway, and forgets them when it is told to."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.cookies: dict[str, str] = {}

    def get(self, address: str) -> Answer:
        """The answer to a path, or to a whole address of the gateway's."""
        return self._ask(address, {}, "GET")

    def log_out(self) -> Answer:
        """The answer to a log-out, as a page of ours asks for it."""
        proof = {"Origin": self.gateway.url, "X-CSRF-Token": csrf_token(self.cookies["cafpro"])}
        return self._ask("/-/session", proof, "DELETE")

    def _ask(self, address: str, headers: Mapping[str, str], method: str) -> Answer:
        path = address.removeprefix(self.gateway.url)
        assert path.startswith("/"), address
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.gateway.ask(path, {"Cookie": kept, **headers} if kept else headers, method=method)
        for line in answer.all("Set-Cookie"):
            (name, _, value), *flags = line.partition(";")[0].partition("="), *line.split("; ")[1:]
            if "Max-Age=0" in flags:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def begin(self, provider: Provider, query: str = "") -> str:
        """The address at the provider to which it is sent."""
        answer = self.get(f"/-/openid/{provider.name}{query}")
        assert answer.status == 303, answer
        return answer.one("Location")

    def back(self, provider: Provider, login: str, query: str = "", **form: str) -> str:
        """The address at the gateway to which the provider sends it back."""
        return provider.authenticate(self.begin(provider, query), login, **form)

    def log_in(self, provider: Provider, login: str, query: str = "", **form: str) -> Answer:
        """All of it."""
        return self.get(self.back(provider, login, query, **form))


def parameters(address: str) -> dict[str, str]:
    """Those of an address, each given once."""
    return {name: value for name, [value] in parse_qs(urlsplit(address).query, keep_blank_values=True).items()}


def with_parameters(address: str, **changed: str | None) -> str:
    """The address with other parameters, without those that are None."""
    asked = {name: value for name, value in {**parameters(address), **changed}.items() if value is not None}
    return f"{address.partition('?')[0]}?{urlencode(asked)}"
