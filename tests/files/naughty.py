"""The Big List of Naughty Strings, read where it lies beside this repository."""

from __future__ import annotations

import json
from pathlib import Path

NAUGHTY = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "blns.json"


def naughty_strings() -> list[str]:
    strings: list[str] = json.loads(NAUGHTY.read_text())
    return strings
