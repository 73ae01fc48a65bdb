"""Redaction, pure: the route table, the plans made from it, and the answers they let out.

`compile_routes` reads the table; `RouteTable.match` understands a path; `RouteTable.plan` and `redact` open the parts
of a JSON document, `redact_document` the whole of another; `declared_type` checks what the backend says it sends.
Nothing here reads a file, a clock or a socket.
"""

from __future__ import annotations

from gateway.redaction.answers import Redacted, declared_type, redact, redact_document
from gateway.redaction.plans import Plan
from gateway.redaction.routes import compile_routes
from gateway.redaction.table import Match, Route, RouteTable

__all__ = [
    "Match",
    "Plan",
    "Redacted",
    "Route",
    "RouteTable",
    "compile_routes",
    "declared_type",
    "redact",
    "redact_document",
]
