"""Those who do the same job, each started with one worker on the measured core, each checked before it is timed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import gateway_served
from tests.bench.dossiers import PROFILE, check_redacted, check_whole, matrix
from tests.bench.installing import PEERS, Installed
from tests.bench.processes import MEASURED_CORE, OTHER_CORE, nginx, running, wait_for
from tests.ports import free_port

BACKEND: Final = "the backend itself"
GATEWAY: Final = "gateway"
LUA: Final = "nginx + lua"
NJS: Final = "nginx + njs"
FASTIFY: Final = "fastify + casl"
FASTAPI: Final = "FastAPI + casbin"
PYTHON: Final = "granian + libcurl"
FLOOR: Final = "nginx proxy_pass"
PEER_TOKEN: Final = "peer-" + "t" * 38
_MODULES: Final = "/usr/lib/nginx/modules"
_LUA_TOP: Final = f"load_module {_MODULES}/ndk_http_module.so; load_module {_MODULES}/ngx_http_lua_module.so;"
_BUFFERS: Final = "proxy_buffer_size 16k; proxy_buffers 16 128k; proxy_busy_buffers_size 256k;"
_PASS: Final = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_max_temp_file_size 0;"


class Target(NamedTuple):
    """A process that answers at `url`, counted with its descendants. Without a token it passes everything on."""

    name: str
    url: str
    pid: int
    token: str


@contextlib.contextmanager
def backend(folder: Path, www: Path, *, delay_ms: int = 0) -> Iterator[Target]:
    """The backend: an nginx that serves the dossiers as files, each `delay_ms` late."""
    port = free_port()
    cache = "open_file_cache max=500; open_file_cache_valid 600s;"
    late = f"rewrite_by_lua_block {{ ngx.sleep({delay_ms / 1000}) }}" if delay_ms else ""
    top = _LUA_TOP if delay_ms else ""
    with nginx(folder, port, f"{late} root {www};", cache, core=OTHER_CORE, top=top) as pid:
        yield Target(BACKEND, f"http://127.0.0.1:{port}", pid, "")


@contextlib.contextmanager
def gateway(folder: Path, upstream: str) -> Iterator[Target]:
    """The gateway, whole, and a T6 agent's session."""
    configuration, port = gateway_served.furnished(folder, upstream)
    with contextlib.closing(gateway_served.sqlite_store(configuration)) as store:
        gateway_served.enter(store, "t6", PROFILE)
    with gateway_served.serving(configuration, port) as served:
        yield Target(GATEWAY, served.url, served.pid, gateway_served.log_in(served.url, "t6"))


@contextlib.contextmanager
def plain_nginx(folder: Path, upstream: str) -> Iterator[Target]:
    """What passing on costs, without any of the work."""
    port = free_port()
    with nginx(folder, port, f"{_PASS} proxy_pass http://backend;", _kept(upstream), core=MEASURED_CORE) as pid:
        yield Target(FLOOR, f"http://127.0.0.1:{port}", pid, "")


@contextlib.contextmanager
def nginx_lua(folder: Path, upstream: str) -> Iterator[Target]:
    """nginx's Lua module with cjson."""
    port, rules = free_port(), _rules(folder)
    more = (
        f"lua_package_path '{PEERS / 'nginx'}/?.lua;;'; {_kept(upstream)}\n"
        f"init_by_lua_block {{ require('redact').init('{rules}') }}"
    )
    here, beside = "content_by_lua_block { require('redact').answer() }", _fetching()
    with nginx(folder, port, here, more, core=MEASURED_CORE, top=_LUA_TOP, beside=beside) as pid:
        yield Target(LUA, f"http://127.0.0.1:{port}", pid, PEER_TOKEN)


@contextlib.contextmanager
def nginx_njs(folder: Path, upstream: str) -> Iterator[Target]:
    """nginx's own JavaScript."""
    port, rules = free_port(), _rules(folder)
    script = (PEERS / "nginx" / "redact.js").read_text("utf-8").replace("= RULES;", f"= {rules.read_text()};")
    module = rules.with_suffix(".js")
    module.write_text(script, "utf-8")
    more = f"{_kept(upstream)}\njs_import redact from {module};"
    beside = f"subrequest_output_buffer_size 4m; {_fetching()}"
    top = f"load_module {_MODULES}/ngx_http_js_module.so;"
    with nginx(folder, port, "js_content redact.answer;", more, core=MEASURED_CORE, top=top, beside=beside) as pid:
        yield Target(NJS, f"http://127.0.0.1:{port}", pid, PEER_TOKEN)


@contextlib.contextmanager
def fastify(folder: Path, upstream: str, installed: Installed) -> Iterator[Target]:
    """fastify with @fastify/http-proxy and @casl/ability."""
    port, rules = free_port(), _rules(folder)
    command = ("node", str(installed.node / "server.mjs"), str(port), upstream, str(rules))
    environment = {"NODE_ENV": "production"}
    with running(*command, core=MEASURED_CORE, environment=environment, output=rules.with_suffix(".log")) as process:
        wait_for(port, process, rules.with_suffix(".log"))
        yield Target(FASTIFY, f"http://127.0.0.1:{port}", process.pid, PEER_TOKEN)


@contextlib.contextmanager
def fastapi(folder: Path, upstream: str, installed: Installed) -> Iterator[Target]:
    """FastAPI on uvicorn, with httpx and casbin."""
    port, rules = free_port(), _rules(folder)
    application = ("-m", "uvicorn", "server:app", "--app-dir", str(PEERS / "fastapi"))
    options = ("--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log")
    environment = {"BACKEND": upstream, "RULES": str(rules)}
    command = (str(installed.python), *application, *options)
    with running(*command, core=MEASURED_CORE, environment=environment, output=rules.with_suffix(".log")) as process:
        wait_for(port, process, rules.with_suffix(".log"))
        yield Target(FASTAPI, f"http://127.0.0.1:{port}", process.pid, PEER_TOKEN)


@contextlib.contextmanager
def bare_python(folder: Path, upstream: str, installed: Installed) -> Iterator[Target]:
    """What the language costs before there is a gateway: no store, and a record that nobody waits for."""
    port, rules = free_port(), _rules(folder)
    application = ("--interface", "wsgi", "server:answer", "--working-dir", str(PEERS / "python"))
    options = ("--port", str(port), "--http", "1", "--no-ws", "--blocking-threads", "16", "--log-level", "warning")
    environment = {"BACKEND": upstream, "RULES": str(rules), "RECORD": str(rules.with_suffix(".db"))}
    command = (str(installed.bare_python), "-m", "granian", *application, *options)
    with running(*command, core=MEASURED_CORE, environment=environment, output=rules.with_suffix(".log")) as process:
        wait_for(port, process, rules.with_suffix(".log"))
        yield Target(PYTHON, f"http://127.0.0.1:{port}", process.pid, PEER_TOKEN)


@contextlib.contextmanager
def everybody(folder: Path, upstream: str, installed: Installed) -> Iterator[dict[str, Target]]:
    """All of them, running, by name, their answers checked."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(one)
            for one in (
                gateway(folder / "gateway", upstream),
                nginx_lua(folder / "lua", upstream),
                nginx_njs(folder / "njs", upstream),
                fastify(folder / "fastify", upstream, installed),
                fastapi(folder / "fastapi", upstream, installed),
                bare_python(folder / "python", upstream, installed),
                plain_nginx(folder / "plain", upstream),
            )
        ]
        for target in started:
            check(target)
        yield {target.name: target for target in started}


def check(target: Target) -> None:
    """Its answers are right for every size. Ends the run otherwise."""
    if target.token:
        check_redacted(target.name, target.url, target.token, exact=target.name == GATEWAY)
    else:
        check_whole(target.name, target.url)


def versions(installed: Installed) -> dict[str, str]:
    """What was measured, as each says it."""

    def said(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return (done.stdout or done.stderr).strip().splitlines()[0]

    pinned = json.loads((PEERS / "node" / "package.json").read_text())["dependencies"]
    python = dict(
        line.split("==")
        for peer in ("fastapi", "python")
        for line in (PEERS / peer / "requirements.txt").read_text().splitlines()
        if "==" in line
    )
    return {
        "gateway": said(str(Path(sys.executable).with_name("cafpro")), "--version"),
        "nginx": said("nginx", "-v").rpartition("/")[2],
        "node": said("node", "--version"),
        **pinned,
        "python of FastAPI": said(str(installed.python), "--version"),
        **{name: python[name] for name in ("fastapi", "uvicorn", "httpx", "casbin", "granian", "pycurl")},
    }


def _kept(upstream: str) -> str:
    server = upstream.removeprefix("http://")
    return f"upstream backend {{ server {server}; keepalive 64; keepalive_requests 10000000; }}"


def _fetching() -> str:
    bare = f"{_PASS} {_BUFFERS} proxy_pass_request_headers off;"
    return f"location /backend/ {{ internal; {bare} proxy_pass http://backend/; }}"


def _rules(folder: Path) -> Path:
    """The peers' token table and matrix, as the file they read at their start."""
    file = folder.with_name(f"{folder.name}-rules.json")
    file.write_text(json.dumps({"tokens": {PEER_TOKEN: PROFILE}, "matrix": matrix()}))
    return file
