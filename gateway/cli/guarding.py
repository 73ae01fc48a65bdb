"""Files that hold secrets: who else on this machine may read them, and whether they can be used without being asked."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gateway.server.supervisor import tls_context
from gateway.settings import ENVIRONMENT_PREFIX, Settings


def exposed(settings: Settings, config: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each file with a secret in it that everyone on this machine may read or change.

    A group may: that is how containers are given their secrets.
    """
    for setting, file in (
        ("record.key_file", settings.record.key_file),
        ("metrics.token_file", settings.metrics.token_file),
        ("server.tls_key", settings.server.tls_key),
        ("upstream.client_key", settings.upstream.client_key),
    ):
        if file and _permits(file, stat.S_IROTH | stat.S_IWOTH):
            yield f"{setting}: {file} may be read or changed by everyone on this machine. Write: chmod o-rwx {file}"
    for section, url in (("store", settings.store.url), ("record", settings.record.url)):
        from_file = f"{ENVIRONMENT_PREFIX}{section.upper()}__URL" not in environ
        if from_file and _holds_password(url) and _permits(config, stat.S_IROTH):
            yield f"{section}.url: {config} holds a password and may be read by everyone. Write: chmod o-rwx {config}"
    if _permits(config, stat.S_IWOTH):
        yield f"{config}: may be changed by everyone on this machine. Write: chmod o-rwx {config}"


def unusable(settings: Settings) -> Iterator[str]:
    """A sentence for each file of the TLS with the backend that cannot be used: it would be found out by an agent."""
    upstream = settings.upstream
    if upstream.ca:
        try:
            ssl.create_default_context(cafile=str(upstream.ca))
        except OSError:
            yield f"upstream.ca: {upstream.ca} does not hold certificates in PEM."
    if upstream.client_certificate and upstream.client_key:
        try:
            tls_context(upstream.client_certificate, upstream.client_key)
        except OSError as error:
            yield f"upstream.client_certificate and upstream.client_key: cannot be used together ({why(error)})."


def why(error: OSError) -> str:
    """What keeps a certificate and a key from being used, in a few words."""
    return getattr(error, "reason", None) or error.strerror or "not a pair of PEM files"


def _permits(file: Path, rights: int) -> bool:
    try:
        return bool(file.stat().st_mode & rights)
    except OSError:
        return False


def _holds_password(url: str) -> bool:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return True  # whatever it is, it may hold one
    return parsed.password is not None or "password" in parsed.query
