"""Debian's packages that tests talk to: found, or installed where this may be done."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def found_or_installed(find: Callable[[], T | None], package: str) -> T:
    """What `find` finds, after installing `package` where it finds nothing and we are root.

    Otherwise a skip with one sentence that says what is missing, and in CI a failure.
    """
    found = find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", package]
        with (Path(tempfile.gettempdir()) / "cafpro-tests-apt.lock").open("w") as turn:
            # Test processes run side by side, and apt is for one at a time.
            fcntl.flock(turn, fcntl.LOCK_EX)
            for command in (install, ["apt-get", "update", "-qq"], install):
                if (found := find()) is not None:
                    break
                quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, **quiet)
        found = find()
    if found is not None:
        return found
    missing = f"{package} is missing: install it, as with `apt-get install {package}`."
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
