"""What a gateway that serves erases by itself, beside its workers."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity.retention import erase_contacts
from gateway.identity.store import open_store
from gateway.logs import get_logger
from gateway.settings import Settings

EVERY_SECONDS: Final = 3600.0
AGAIN_SECONDS: Final = 60.0
"""Where the store could not be asked."""
_log = get_logger()


def begin_erasing(settings: Settings) -> None:
    """Erase what is due, now and every hour, in a thread that ends with the process: a store that hangs keeps the
    policies from nothing."""
    threading.Thread(target=_erase, args=(settings,), name="erasing", daemon=True).start()


def _erase(settings: Settings) -> None:
    while True:
        time.sleep(EVERY_SECONDS if erase_once(settings, now=datetime.now(UTC)) else AGAIN_SECONDS)


def erase_once(settings: Settings, *, now: datetime) -> bool:
    """Erase what is due at this instant; whether that could be done. What could not is said in the log."""
    try:
        with closing(open_store(settings.store.url, make=False)) as store:
            erased = erase_contacts(store, days=settings.identity.contact_days, now=now)
    except Exception as error:  # noqa: BLE001 - the thread must go on: without it contacts would be kept for ever
        _log.error("contacts of requests to join are not erased, though some may be due", because=_because(error))
        return False
    if erased:
        _log.info("contacts of requests to join erased", requests=erased, days=settings.identity.contact_days)
    return True


def _because(error: Exception) -> str:
    if isinstance(error, StoreUnavailable):
        return error.because
    return " ".join(error.problems) if isinstance(error, Misconfigured) else type(error).__name__
