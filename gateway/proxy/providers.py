"""How the keys of identity providers are had: over HTTP as the backend's answers are, or from a file.

The transport adapter has one deadline for a whole exchange, which no timeout of requests' own is, and a limit; it
follows no redirect and reads nothing of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import requests

from gateway.identity.issuers import SETTING, Issuer
from gateway.identity.jwks import LARGEST_SET, KeysAway, ProviderKeys
from gateway.identity.tokens import Tokens
from gateway.identity.vouchers import Voucher
from gateway.loop.waiting import Aside
from gateway.proxy.exchange import Question, UpstreamAnswer
from gateway.proxy.failures import MalformedAnswer
from gateway.proxy.transport import TransportAdapter

DEADLINE_SECONDS: Final = 2.0
"""For one whole exchange: a request may wait for it."""
CONNECT_SECONDS: Final = 1.0
THREADS: Final = 20
"""More than wait for one provider, so that one that hangs holds up no other's."""


def tokens_of(issuers: Iterable[Issuer]) -> Tokens:
    """What verifies the tokens of these issuers, in one process. What blocks has threads of its own."""
    aside = Aside(THREADS, "keys").do
    return Tokens(issuers, lambda issuer: keys_of(issuer, aside))


def troubles(vouchers: Iterable[Voucher]) -> list[str]:
    """A sentence for each of those who vouch for agents that gives no keys now that are of use."""
    found = ((issuer, keys_of(issuer, lambda work: work()).trouble()) for issuer in vouchers)
    return [f"{SETTING}: no keys of {issuer.issuer} at {issuer.keys_at()} ({why})." for issuer, why in found if why]


def keys_of(voucher: Voucher, aside: Callable[[Callable[[], Any]], Any]) -> ProviderKeys:
    """Its keys, for one process. `aside` does a work that blocks, and returns when it is done."""
    return ProviderKeys(
        voucher.issuer, voucher.algorithms, _source(voucher), aside=aside, cached_seconds=voucher.keys_seconds
    )


def _source(issuer: Voucher) -> Callable[[], bytes]:
    if issuer.jwks_file is not None:
        return partial(_read, issuer.jwks_file)
    adapter = TransportAdapter(
        deadline_seconds=DEADLINE_SECONDS, connect_seconds=CONNECT_SECONDS, size_limit=LARGEST_SET, ca=issuer.ca
    )
    return partial(_fetch, adapter, str(issuer.jwks_url))


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_SET + 1)
    except OSError as error:
        raise KeysAway(f"its file cannot be read ({error.strerror})") from None


def _fetch(adapter: TransportAdapter, url: str) -> bytes:
    """The body of its answer. Raises `KeysAway`, also for any status but 200."""
    answer = answered(adapter, url, {"Accept": "application/jwk-set+json, application/json"})
    if answer.status_code != 200:
        raise KeysAway(f"it answers {answer.status_code}")
    return answer.content


def answered(
    adapter: TransportAdapter, url: str, headers: Mapping[str, str], body: bytes | None = None
) -> UpstreamAnswer:
    """What a provider answers, on a connection of its own. Raises `KeysAway` where it does not answer, not as HTTP, or
    in an encoding that nobody asked for."""
    fields = {"Accept-Encoding": "identity", **headers}
    try:
        answer = adapter.exchange(Question(url, fields, alone=True, body=body))
    except requests.Timeout:
        raise KeysAway("it does not answer in time") from None
    except requests.ConnectionError as error:
        raise KeysAway(f"it cannot be reached: {error}") from None
    except MalformedAnswer as error:
        raise KeysAway(f"its answer is not accepted: {error}") from None
    if any(value.lower() != "identity" for value in answer.named("content-encoding")):
        raise KeysAway("it answers in an encoding that was not asked for")
    return answer
