"""`python -m upstream_stub`: the stub backend on a port of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from joserfc.errors import JoseError
from werkzeug.serving import WSGIRequestHandler, make_server

from upstream_stub.app import create_app
from upstream_stub.assertions import Asking, Assertions

EXAMPLE = """\
example:
  python -m upstream_stub --port 9000
  curl http://127.0.0.1:9000/dossiers/9990001
  python -m upstream_stub --port 9000 --assertion-key assertion.pub
"""


class Handler(WSGIRequestHandler):
    """Keeps connections open, writes no access log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


def main() -> None:
    """Serve until SIGTERM or SIGINT; prints the address once it listens."""
    options = parse_options()
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as problem:
        raise SystemExit(f"upstream stub: cannot listen on {options.host}:{options.port}: {problem}") from None
    port = listener.getsockname()[1]
    assertions = None
    if options.assertion_key:
        try:
            assertions = Assertions(options.assertion_key, options.audience or f"http://{options.host}:{port}")
        except (OSError, ValueError, JoseError) as problem:
            raise SystemExit(f"upstream stub: {options.assertion_key} holds no public key: {problem}") from None
    server = make_server(
        options.host, port, create_app(assertions, say), threaded=True, request_handler=Handler, fd=listener.detach()
    )
    print(f"upstream stub on http://{options.host}:{port}", flush=True)
    server.serve_forever()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m upstream_stub",
        description="Synthetic dossiers over HTTP, in place of the existing backend.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--assertion-key", type=Path, metavar="FILE", help="public key: answer only whom the gateway vouches for"
    )
    parser.add_argument("--audience", metavar="URL", help="what the gateway calls us (default: our address)")
    return parser.parse_args()


def say(asking: Asking) -> None:
    who = f"{asking.identifier} of {asking.partner} as {asking.profile}"
    print(f"{asking.dossier} for {who}, request {asking.request_id}", flush=True)


def leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
