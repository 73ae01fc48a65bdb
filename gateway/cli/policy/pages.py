"""Pages and pictures made from templates, and text made harmless for what it is put into."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    # Labels and sources are whatever a policy author wrote: everything is escaped, in pictures too.
    loader = PackageLoader("gateway.cli.policy", "templates")
    found = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["together"] = together
    return found


def page(template: str, **values: object) -> str:
    """The text of a template of this folder's `templates`, without a line's end after it."""
    return _environment().get_template(template).render(**values).rstrip("\n")


def together(text: str) -> str:
    """French text whose colons, semicolons and guillemets stay on the line of the word they belong to."""
    return re.sub(r" (?=[:;!?»])|(?<=«) ", "\u00a0", text)


def markdown_text(text: str) -> str:
    """The text as Markdown shows it: it may hold HTML and links, and a bar ends a cell."""
    return re.sub(r"[\\`*_\[\]<>|&#~@]", lambda found: f"&#{ord(found[0])};", text)
