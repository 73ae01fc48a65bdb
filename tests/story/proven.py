"""Imported by the process that others are forked from, and by it alone: the shipped policies pass their canaries once,
for half a second of the processor, and not in each of hundreds of gateways; any other text has to, as ever. Nor do the
collectors of all those look at what was made here."""

import gc
from contextlib import suppress

from gateway.errors import Misconfigured
from gateway.policy_files.folder import load_folder, shipped

with suppress(Misconfigured):
    load_folder(shipped())
gc.collect()
gc.freeze()
