"""The peers are there: Debian's packages, Node's and Python's, each pinned, installed once and kept in `.bench/`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

CACHE: Final = Path(__file__).resolve().parents[2] / ".bench"
PEERS: Final = Path(__file__).with_name("peers")
OLDEST_NODE: Final = 20
_COMMANDS: Final = {"nginx": "nginx", "wrk": "wrk", "taskset": "util-linux", "node": "nodejs", "npm": "npm"}
_FILES: Final = {
    "usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "usr/lib/nginx/modules/ngx_http_js_module.so": "libnginx-mod-http-js",
    "usr/lib/*/lua/5.1/cjson.so": "lua-cjson",
    "usr/lib/postgresql/*/bin/initdb": "postgresql",
}


class Installed(NamedTuple):
    """Where the peers are: the folder that fastify runs in, the Python that runs FastAPI, the one that runs granian."""

    node: Path
    python: Path
    bare_python: Path


def install(say: Callable[[str], None]) -> Installed:
    """Installs what is missing, and nothing where the pins are those of the last time.

    Ends the run with one sentence where Debian's packages are missing and cannot be installed.
    """
    _install_packages(say)
    fastapi = _install_python("fastapi", lambda: say("installing FastAPI, uvicorn, httpx and casbin"))
    bare = _install_python("python", lambda: say("installing granian and libcurl for Python"))
    return Installed(_install_node(say), fastapi, bare)


def _missing() -> list[str]:
    commands = [package for command, package in _COMMANDS.items() if shutil.which(command) is None]
    files = [package for pattern, package in _FILES.items() if not any(Path("/").glob(pattern))]
    return commands + files


def _install_packages(say: Callable[[str], None]) -> None:
    missing = _missing()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {', '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            subprocess.run(["apt-get", "-qq", *command], env=environment, stdout=subprocess.DEVNULL, check=False)
        missing = _missing()
    if missing:
        sys.exit(f"The benchmark needs more of Debian's packages: apt-get install {' '.join(missing)}")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.findall(r"\d+", said)[0]) < OLDEST_NODE:
        sys.exit(f"fastify needs Node {OLDEST_NODE} or later, and this is {said.strip()}: install a newer nodejs.")


def _install_node(say: Callable[[str], None]) -> Path:
    source, folder = PEERS / "node", CACHE / "node"
    pins = [source / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def fill() -> None:
        for file in pins:
            shutil.copy(file, folder)
        _run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", folder=folder)

    _once(folder, pins, fill, lambda: say("installing fastify, @fastify/http-proxy and @casl/ability"))
    shutil.copy(source / "server.mjs", folder)
    return folder


def _install_python(peer: str, announce: Callable[[], None]) -> Path:
    """The Python of an environment of this peer's own."""
    folder, pins = CACHE / peer, PEERS / peer / "requirements.txt"

    def fill() -> None:
        _run(sys.executable, "-m", "venv", str(folder), folder=CACHE)
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--requirement", str(pins), folder=CACHE)

    _once(folder, [pins], fill, announce)
    return folder / "bin" / "python"


def _once(folder: Path, pins: list[Path], fill: Callable[[], None], announce: Callable[[], None]) -> None:
    text = b"".join(file.read_bytes() for file in pins) + sys.version.encode()
    digest, stamp = hashlib.sha256(text).hexdigest(), folder / ".pins"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    announce()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fill()
    stamp.write_text(digest)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
