"""A draft written: a whole folder of policies that can be checked, compared and approved."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import Misconfigured


def write_draft(folder: Path, texts: Mapping[str, str]) -> None:
    """Make `folder` with these files (name → text), whole or not at all. Raises `Misconfigured` where it cannot be
    made, or is there already: nothing is ever written over.
    """
    try:
        if os.path.lexists(folder):
            raise Misconfigured([f"{folder}: exists already; a draft is never written over anything."])
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, text in texts.items():
                (made / name).write_bytes(text.encode())
            made.chmod(0o755)
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made)
            raise
    except OSError as error:
        raise Misconfigured([f"{folder}: cannot be written ({error.strerror})."]) from None
