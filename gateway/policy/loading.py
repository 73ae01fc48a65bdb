"""From the texts of a folder to a `Policy`, or everything that is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.policy.canaries import defects
from gateway.policy.engine import Policy
from gateway.policy.lint import FILES, read_folder
from gateway.policy.sandbox import PolicyDefect, StrictOso


def fingerprint(texts: Mapping[str, str]) -> str:
    """The name of exactly these texts (file name → text): SHA-256, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(texts):
        for part in (name.encode(errors="surrogatepass"), texts[name].encode(errors="surrogatepass")):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def load(texts: Mapping[str, str], named: str = "", *, proven: bool = False) -> Policy:
    """The policy whose Polar files are `texts` (file name → text). `named` is its fingerprint, where it covers more.
    `proven` texts were loaded before, in this process or another: the canaries, which take a second, need no answer.

    Raises `Misconfigured` with everything that is wrong: outside the grammar, against the folder's own rules,
    refused or warned about by oso, or granting to a canary.
    """
    folder, problems = read_folder(texts)
    if folder is None:
        raise Misconfigured([str(problem) for problem in problems])
    policy = Policy(folder, engine(texts), named or fingerprint(texts))
    found = [] if proven else defects(policy)
    if found:
        raise Misconfigured([f"policies: {defect}" for defect in found])
    return policy


def engine(texts: Mapping[str, str]) -> StrictOso:
    """The engine of texts in which the lint found nothing. Raises `Misconfigured` with what oso has against them."""
    try:
        return StrictOso({name: texts[name] for name in FILES})
    except (OsoError, PolicyDefect) as defect:
        raise Misconfigured([f"policies: {_first_line(defect)}"]) from None


def _first_line(defect: Exception) -> str:
    return " ".join(str(defect).split("Get help with Oso")[0].split())[:300]
