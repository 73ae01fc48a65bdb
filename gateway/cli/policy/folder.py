"""Which folder of policies a command means, and by which configuration."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway import settings as settings_module
from gateway.policy_files.approved import ApprovalRules
from gateway.policy_files.folder import shipped

_NAME = "gateway.toml"


def folder(policies: Path | None, config: Path | None) -> Path:
    """The folder that is named, else the one of the configuration (or of `gateway.toml` here), else the shipped one."""
    if policies is not None:
        return policies
    here = Path(_NAME)
    if config is not None or here.is_file():
        return settings_module.load(config or here, os.environ).policies.path or shipped()
    return shipped()


def rules(policies: Path, config: Path | None) -> ApprovalRules:
    """Who must approve, by the configuration: the one that is named, `gateway.toml` here, or the nearest one above the
    folder. Without any, anybody, and that is said."""
    found = config or _nearest(policies)
    if found is None:
        click.echo(
            f"No configuration says who must sign ({_NAME} here or above the folder, or --config FILE): nobody must.",
            err=True,
        )
        return ApprovalRules()
    asked = settings_module.load(found, os.environ).policies
    return ApprovalRules(asked.approvers, asked.approver_keys)


def _nearest(policies: Path) -> Path | None:
    places = (Path(), *policies.resolve().parents)
    return next((place / _NAME for place in places if (place / _NAME).is_file()), None)
