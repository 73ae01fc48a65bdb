"""Which harnesses there are, and where their inputs are kept. Imports nothing of the gateway: atheris comes first."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
HARNESSES = ("request", "document", "policy")
