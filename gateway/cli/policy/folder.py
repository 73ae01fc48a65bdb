"""Which folder of policies a command means."""

from __future__ import annotations

import os
from pathlib import Path

from gateway import settings as settings_module
from gateway.policy_files.approved import ApprovalRules
from gateway.policy_files.folder import shipped


def folder(policies: Path | None, config: Path | None) -> Path:
    """The folder that is named, else the one of the configuration (or of `gateway.toml` here), else the shipped one."""
    if policies is not None:
        return policies
    here = Path("gateway.toml")
    if config is not None or here.is_file():
        return settings_module.load(config or here, os.environ).policies.path or shipped()
    return shipped()


def rules(config: Path | None) -> ApprovalRules:
    """Who must approve, by the configuration (or `gateway.toml` here); without one, anybody."""
    here = Path("gateway.toml")
    if config is not None or here.is_file():
        policies = settings_module.load(config or here, os.environ).policies
        return ApprovalRules(policies.approvers, policies.approver_keys)
    return ApprovalRules()
