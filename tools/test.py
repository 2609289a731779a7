"""./dev test: every test, from the repository's root, with pytest's own arguments.

All of them run in two lanes, folder by folder (`tests/conftest.py`); what is named runs in one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.environments import ROOT

LANES = ("--numprocesses=2", "--dist=loadscope", "--no-loadscope-reorder")

if __name__ == "__main__":
    os.chdir(ROOT)
    arguments = sys.argv[1:]
    named = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    lanes = () if named else LANES
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *lanes, *arguments])
