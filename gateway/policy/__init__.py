"""Policies: from the texts of a folder to decisions. Pure: no file, no clock, no network, no Flask."""
