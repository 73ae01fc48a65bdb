"""structlog, without what it loads for terminals.

Where rich is installed it imports it, for tracebacks in colours: 2 MB in every worker, and a twentieth of a second at
every start. What is logged here are lines of JSON (`cli/log.py`).
"""

from __future__ import annotations

import sys
from typing import Final

_hidden: Final = "rich" not in sys.modules
if _hidden:
    # An import of it fails then, which structlog provides for.
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    from structlog import get_logger
finally:
    if _hidden:
        del sys.modules["rich"]

__all__ = ["get_logger"]
