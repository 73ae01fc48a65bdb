"""`cafpro policy key`: what somebody signs approvals with."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.speaking import MISUSE, leave
from gateway.policy_files.approval_text import KEY_SUFFIX, NAME
from gateway.policy_files.signatures import make_pair


@click.command("key", epilog="\b\nExample:\n  cafpro policy key m.durand --out m.durand.key")
@click.argument("name")
@click.option("--out", "file", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The private key.")
def key(name: str, file: Path) -> None:
    """Make a key pair for NAME: the private key in FILE, the public one in NAME.pem beside it.

    The private key stays with its owner. Whoever runs the gateway puts NAME.pem in the folder `approver_keys` names.
    """
    if not NAME.fullmatch(name):
        leave([f"{name!r}: a name has small letters without accents, digits, . _ and - only."], status=MISUSE)
    public = file.with_name(name + KEY_SUFFIX)
    if public == file:
        leave([f"--out: {file} is the place of the public key. Choose another."], status=MISUSE)
    try:
        make_pair(file, public)
    except FileExistsError as error:
        leave([f"{error} exists already: nothing was changed."], status=MISUSE)
    except OSError as error:
        leave([f"{error.filename}: cannot be written ({error.strerror})."])
    click.echo(f"{file}  private: yours alone")
    click.echo(f"{public}  public: for `approver_keys`")
