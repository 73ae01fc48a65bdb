"""A real OpenID provider for the tests: Authlib's authorization server on Flask, in a process of its own, with PKCE
demanded, RFC 9207, signed userinfo as ProConnect sends it, log-outs (RP-Initiated Logout), users with passwords, and a
side entrance where a test tells it to lie.

python -m tests.openid.provider --port 9400 --client cafpro --secret …
"""

from __future__ import annotations

import argparse
import base64
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import OpenIDCode, UserInfo, UserInfoEndpoint
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from flask import Flask, Response, request
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from werkzeug.serving import make_server

from tests.story.providers import part, public, signed

PAGE = """<!doctype html><html lang="fr"><title>Fournisseur</title>
<form method="post"><input name="login" autofocus><input name="password" type="password"><button>Entrer</button></form>
"""
HANG_SECONDS = 60


@dataclass
class User:
    login: str
    password: str
    claims: dict[str, Any]

    def get_user_id(self) -> str:
        return self.claims["sub"]


@dataclass
class Client:
    client_id: str
    secret: str
    callbacks: list[str]
    auth_method: str
    algorithm: str
    userinfo: str
    logged_out: list[str] = field(default_factory=list)

    @property
    def id_token_signed_response_alg(self) -> str:
        return self.algorithm

    @property
    def client_metadata(self) -> dict[str, Any]:
        signed = {"userinfo_signed_response_alg": self.algorithm} if self.userinfo == "jwt" else {}
        return {"post_logout_redirect_uris": self.logged_out, **signed}

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.callbacks[0]

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.callbacks

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(client_secret, self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint != "token" or method == self.auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    code: str
    client_id: str
    redirect_uri: str
    scope: str
    user: User
    nonce: str | None
    acr: str | None
    code_challenge: str
    code_challenge_method: str
    made_at: float = field(default_factory=time.time)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.made_at)

    def get_acr(self) -> str | None:
        return self.acr

    def get_amr(self) -> None:
        return None


@dataclass
class Token:
    access_token: str
    scope: str
    user: User
    client: Client
    expires_at: float

    def get_client(self) -> Client:
        return self.client

    def get_user(self) -> User:
        return self.user

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return time.time() > self.expires_at

    def is_revoked(self) -> bool:
        return False


class Provider:
    """All that it knows, in memory."""

    def __init__(self, issuer: str, client: Client, *, announce: bool) -> None:
        self.issuer, self.client, self.announce = issuer, client, announce
        self.users: dict[str, User] = {}
        self.codes: dict[str, Code] = {}
        self.tokens: dict[str, Token] = {}
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.bent: dict[str, Any] = {}
        self.released = threading.Event()
        self.serial = 0
        self.keys: list[tuple[str, Key]] = []
        self.rotate()

    def rotate(self, *, publish: bool = True) -> None:
        """Signs with a new key from now on, which may be published; the ones before are no longer."""
        self.serial += 1
        kid = f"key-{self.serial}"
        make = RSAKey.generate_key if self.client.algorithm.startswith(("RS", "PS")) else ECKey.generate_key
        parameters = {"kid": kid, "use": "sig", "alg": self.client.algorithm}
        size: Any = 2048 if make == RSAKey.generate_key else "P-256"
        self.signing = make(size, parameters)
        self.kid = kid
        self.keys = [(kid, self.signing)] if publish else []
        self.signed_with = KeySet([*getattr(self, "signed_with", KeySet([])).keys, self.signing])

    def published(self) -> dict[str, Any]:
        return {"keys": [public(key, kid) for kid, key in self.keys]}

    def key_set(self) -> KeySet:
        return KeySet([self.signing])

    def bend(self, token: str) -> str:
        """The ID token as a test wants it: other claims, another header, another signature."""
        how = self.bent.get("id_token")
        if not how:
            return token
        claims = self.read(token, 1) | how.get("claims", {})
        header = self.read(token, 0) | how.get("header", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {name: value for name, value in header.items() if value is not None}
        by = how.get("signed_by", "itself")
        if by == "nobody":
            return f"{part(header)}.{part(claims)}."
        if by in ("the public key", "the secret"):
            secret = self.client.secret.encode() if by == "the secret" else self.signing.as_pem(private=False)
            text = f"{part(header)}.{part(claims)}"
            return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"
        key = self.signing if by == "itself" else type(self.signing).generate_key(self.signing.curve_name)
        return signed(header, claims, key, algorithm=self.client.algorithm)

    @staticmethod
    def read(token: str, number: int) -> dict[str, Any]:
        text = token.split(".")[number]
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def instead(self, where: str) -> Response | None:
        """What a test has it answer at an address instead of what it would."""
        self.asked.append(where)
        how = self.bent.get(where)
        if not how:
            return None
        if how.get("hang"):
            self.released.wait(HANG_SECONDS)
        if "status" not in how:
            return None
        body = how.get("body", "").encode("latin-1") * how.get("times", 1)
        return Response(body, how["status"], how.get("headers", {}))


def app_of(provider: Provider) -> Flask:
    app = Flask("provider")
    server = AuthorizationServer(app, lambda name: provider.client if name == provider.client.client_id else None, None)

    def save_token(token: dict[str, Any], asked: Any) -> None:
        until = time.time() + token["expires_in"]
        value = Token(token["access_token"], token["scope"], asked.user, asked.client, until)
        provider.tokens[value.access_token] = value

    server._save_token = save_token

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post", "client_secret_basic")

        def save_authorization_code(self, code: str, asked: Any) -> None:
            data = asked.payload.data
            acr = provider.bent.get("acr", (data.get("acr_values") or "").split(" ")[0] or None)
            challenge = data.get("code_challenge"), data.get("code_challenge_method")
            provider.codes[code] = Code(
                code, asked.client.client_id, asked.payload.redirect_uri, asked.payload.scope, asked.user,
                data.get("nonce"), acr, *challenge,
            )  # fmt: skip

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, code: Code) -> None:
            if not provider.bent.get("codes_are_kept"):
                del provider.codes[code.code]

        def authenticate_user(self, code: Code) -> User:
            return code.user

    class IdToken(OpenIDCode):
        def exists_nonce(self, nonce: str, asked: Any) -> bool:
            return not provider.bent.get("nonces_are_kept") and any(c.nonce == nonce for c in provider.codes.values())

        def resolve_client_private_key(self, client: Client) -> KeySet:
            return provider.key_set()

        def get_client_claims(self, client: Client) -> dict[str, Any]:
            return {"iss": provider.issuer, "aud": client.client_id}

        def get_encode_header(self, client: Client) -> dict[str, Any]:
            return {"alg": client.algorithm, "kid": provider.kid}

        def generate_user_info(self, user: User, scope: str) -> UserInfo:
            return UserInfo(sub=user.claims["sub"]) if provider.client.userinfo else UserInfo(**user.claims)

        def encode_id_token(self, token: dict[str, Any], asked: Any) -> str:
            return provider.bend(super().encode_id_token(token, asked))

    class Announced(IssuerParameter):
        def get_issuer(self) -> str | None:
            return provider.issuer if provider.announce else None

    class Validator(BearerTokenValidator):
        def authenticate_token(self, text: str) -> Token | None:
            return provider.tokens.get(text)

    class Information(UserInfoEndpoint):
        def get_issuer(self) -> str:
            return provider.issuer

        def get_supported_algorithms(self) -> list[str]:
            return [provider.client.algorithm]

        def resolve_private_key(self) -> KeySet:
            return provider.key_set()

        def generate_user_info(self, user: User, scope: str) -> UserInfo:
            told = {**user.claims, **provider.bent.get("userinfo_claims", {})}
            return UserInfo(**{name: value for name, value in told.items() if value is not None})

    class EndSession(EndSessionEndpoint):
        def get_server_jwks(self) -> KeySet:
            return provider.signed_with

        def end_session(self, asked: EndSessionRequest) -> None:
            provider.ended.append(asked.id_token_claims["sub"])

    protector = ResourceProtector()
    protector.register_token_validator(Validator())
    server.register_grant(CodeGrant, [IdToken(require_nonce=True), CodeChallenge(required=True)])
    server.register_extension(Announced())
    server.register_endpoint(Information(resource_protector=protector))

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        user = provider.users.get(request.form.get("login", ""))
        if user is not None and user.password != request.form.get("password"):
            user = None
        try:
            grant = server.get_consent_grant(end_user=user)
        except OAuth2Error as error:
            return error.error, 400
        if request.method == "GET":
            return PAGE
        if "refuse" in request.form or user is None:
            return server.create_authorization_response(grant_user=None, grant=grant)
        return server.create_authorization_response(grant_user=user, grant=grant)

    @app.post("/token")
    def token() -> Any:
        return provider.instead("token") or server.create_token_response()

    @app.get("/userinfo")
    def userinfo() -> Any:
        return provider.instead("userinfo") or server.create_endpoint_response("userinfo")

    server.register_endpoint(EndSession)

    @app.get("/session/end")
    def end_session() -> Any:
        lie = provider.instead("end")
        if lie:
            return lie
        try:
            asked = server.validate_endpoint_request("end_session")
        except OAuth2Error as error:
            return server.handle_error_response(None, error)
        if asked.needs_confirmation:
            return "<p>Voulez-vous vous déconnecter ?</p>"
        return server.create_endpoint_response("end_session", asked) or "<p>Vous êtes déconnecté.</p>"

    @app.get("/jwks")
    def jwks() -> Any:
        return provider.instead("jwks") or Response(json.dumps(provider.published()), content_type="application/json")

    # The side entrance, for tests.

    @app.get("/up")
    def up() -> str:
        return "up"

    @app.post("/tests/users")
    def users() -> str:
        for login, written in request.get_json().items():
            provider.users[login] = User(login, written["password"], written["claims"])
        return ""

    @app.post("/tests/callbacks")
    def callbacks() -> str:
        came, left = request.get_json()
        provider.client.callbacks.append(came)
        provider.client.logged_out.append(left)
        return ""

    @app.post("/tests/bend")
    def bend() -> str:
        provider.bent = request.get_json()
        if not provider.bent:
            provider.released.set()
            provider.released = threading.Event()
        return ""

    @app.post("/tests/rotate")
    def rotate() -> str:
        provider.rotate(**request.get_json())
        return provider.kid

    @app.get("/tests/asked")
    def asked() -> list[str]:
        return provider.asked

    @app.get("/tests/ended")
    def ended() -> list[str]:
        return provider.ended

    @app.post("/tests/sign")
    def sign() -> str:
        """A token with exactly these claims, as it signs bearer tokens for its agents."""
        header = {"alg": provider.client.algorithm, "kid": provider.kid, "typ": "JWT"}
        return signed(header, request.get_json(), provider.signing, algorithm=provider.client.algorithm)

    return app


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--client", default="cafpro")
    options.add_argument("--secret", required=True)
    options.add_argument("--auth", default="client_secret_post")
    options.add_argument("--algorithm", default="ES256")
    options.add_argument("--userinfo", default="jwt", choices=["jwt", "json", ""])
    options.add_argument("--announce", action="store_true")
    asked = options.parse_args()
    client = Client(asked.client, asked.secret, [], asked.auth, asked.algorithm, asked.userinfo)
    provider = Provider(f"http://{asked.host}:{asked.port}", client, announce=asked.announce)
    make_server(asked.host, asked.port, app_of(provider), threaded=True).serve_forever()


if __name__ == "__main__":
    main()
