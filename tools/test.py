"""./dev test: every test, from the repository's root, with pytest's own arguments."""

from __future__ import annotations

import os
import sys

from tools.environments import ROOT

if __name__ == "__main__":
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
