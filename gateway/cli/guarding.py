"""Files that hold secrets or decide: who else on this machine may read or change them, and whether they can be used
without anybody being asked."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gateway.identity.issuers import believed, secrets
from gateway.policy_files.approval_text import KEY_SUFFIX
from gateway.policy_files.approved import APPROVED
from gateway.policy_files.folder import ROUTES, shipped
from gateway.server.supervisor import tls_context
from gateway.settings import ENVIRONMENT_PREFIX, Settings


def exposed(settings: Settings, config: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each file that everyone on this machine may change, or may read though a secret is in it.

    A file that decides (settings, policies, whom we believe) or that holds a secret is changed by whoever may write it,
    or may replace it in its folder. A group may: that is how containers are given their secrets.
    """
    for setting, file in (
        ("record.key_file", settings.record.key_file),
        ("metrics.token_file", settings.metrics.token_file),
        ("server.tls_key", settings.server.tls_key),
        ("upstream.client_key", settings.upstream.client_key),
        ("upstream.assertion_key_file", settings.upstream.assertion_key_file),
        *(("identity.issuers", file) for file in _secrets(settings)),
        ("identity.second_factor_key_file", settings.identity.second_factor_key_file),
    ):
        if file and _permits(file, stat.S_IROTH | stat.S_IWOTH):
            yield f"{setting}: {file} may be read or changed by everyone on this machine. Write: chmod o-rwx {file}"
    for section, url in (("store", settings.store.url), ("record", settings.record.url)):
        from_file = f"{ENVIRONMENT_PREFIX}{section.upper()}__URL" not in environ
        if from_file and _holds_password(url) and _permits(config, stat.S_IROTH):
            yield f"{section}.url: {config} holds a password and may be read by everyone. Write: chmod o-rwx {config}"
    if _permits(config, stat.S_IWOTH):
        yield f"{config}: may be changed by everyone on this machine. Write: chmod o-rwx {config}"
    if settings.upstream.ca and _permits(settings.upstream.ca, stat.S_IWOTH):
        yield f"upstream.ca: {_changed_by_everyone(settings.upstream.ca)}"
    for file in _issuers(settings):
        if _permits(file, stat.S_IWOTH):
            yield f"identity.issuers: {_changed_by_everyone(file)}"
    text = settings.identity.engagement_text
    if text and _permits(text, stat.S_IWOTH):
        yield f"identity.engagement_text: {_changed_by_everyone(text)}"
    yield from _policies(settings.policies.path or shipped())
    if settings.policies.approver_keys:
        yield from _approvers(settings.policies.approver_keys)
    yield from _folders(settings, config)


def _issuers(settings: Settings) -> Iterator[Path]:
    """Whoever may change one of these may be anyone."""
    return believed(settings.identity.issuers) if settings.identity.issuers else iter(())


def _secrets(settings: Settings) -> Iterator[Path]:
    return secrets(settings.identity.issuers) if settings.identity.issuers else iter(())


def _policies(folder: Path) -> Iterator[str]:
    # A folder that is sticky too: whoever may add a policy file stops the next start.
    if _permits(folder, stat.S_IWOTH):
        yield f"policies.path: {_changed_by_everyone(folder)}"
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".polar" or file.name in (ROUTES, APPROVED))
    except OSError:
        return
    for file in files:
        if _permits(file, stat.S_IWOTH):
            yield f"policies.path: {_changed_by_everyone(file)}"


def _approvers(folder: Path) -> Iterator[str]:
    """Whoever may add a key, or change one, may approve."""
    for path in (folder, *sorted(folder.glob(f"*{KEY_SUFFIX}"))):
        if _permits(path, stat.S_IWOTH):
            yield f"policies.approver_keys: {_changed_by_everyone(path)}"


def _folders(settings: Settings, config: Path) -> Iterator[str]:
    """A sentence for each folder in which everyone may put a file of their own in the place of one of ours."""
    held: dict[Path, list[str]] = {}
    for what, file in (
        ("the configuration", config.absolute()),
        ("the configuration", settings.folder / config.name),
        ("upstream.ca", settings.upstream.ca),
        ("upstream.client_key", settings.upstream.client_key),
        ("upstream.assertion_key_file", settings.upstream.assertion_key_file),
        ("server.tls_key", settings.server.tls_key),
        ("metrics.token_file", settings.metrics.token_file),
        ("record.key_file", settings.record.key_file),
        ("identity.second_factor_key_file", settings.identity.second_factor_key_file),
        ("policies.approver_keys", settings.policies.approver_keys),
        *(("identity.issuers", file) for file in (*_issuers(settings), *_secrets(settings))),
        ("store.url", _database_file(settings.store.url)),
        ("record.url", _database_file(settings.record.url)),
    ):
        if file:
            names = held.setdefault(file.parent.resolve(), [])
            names += [what] if what not in names else []
    for folder, names in held.items():
        if _permits(folder, stat.S_IWOTH) and not _permits(folder, stat.S_ISVTX):
            yield f"{', '.join(names)}: {_changed_by_everyone(folder)}"


def _changed_by_everyone(path: Path) -> str:
    return f"{path} may be changed by everyone on this machine. Write: chmod o-w {path}"


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
    """Whether any of these rights is given. Rights to write are not, where the file system is mounted to be read: so
    are the folders that containers are given, and everyone may write them as their modes say."""
    try:
        if os.statvfs(file).f_flag & os.ST_RDONLY:
            rights &= ~stat.S_IWOTH
        return bool(file.stat().st_mode & rights)
    except OSError:
        return False


def _database_file(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _holds_password(url: str) -> bool:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return True  # whatever it is, it may hold one
    return parsed.password is not None or "password" in parsed.query
