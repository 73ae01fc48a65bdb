"""A new installation, as `cafpro init` makes it, for tests that start no gateway."""

from pathlib import Path
from typing import Any

from gateway.cli.init import furnish
from gateway.policy_files.folder import shipped


def furnished(folder: Path, **told: Any) -> Path:
    """Its configuration, in a folder that is made. What `furnish` wants to be told may be told otherwise."""
    usual = {
        "bind": "127.0.0.1:0",
        "public_url": "http://127.0.0.1:8080",
        "upstream": "http://127.0.0.1:9",
        "caisse": "851",
        "policies": shipped(),
    }
    return furnish(folder, **{**usual, **told})
