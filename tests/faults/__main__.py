"""`python -m tests.faults`: every fault in its long form, written down in results/faults.md and results/faults.json.

Run as root, for the small disks, alone on the machine: about half an hour.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ["FAULTS_LONG"] = "1"
    sys.exit(pytest.main([str(Path(__file__).parent), *sys.argv[1:]]))
