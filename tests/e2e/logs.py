"""What a log may not hold, in whatever form it is written, and how each line of it must look."""

from __future__ import annotations

import json
import random
import re
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

LEVELS = {"debug", "info", "warning", "error"}
ALWAYS = ("time", "level", "event", "service", "version", "instance")
# Base64url of `{"…`: a token's header, or the policy of a signed form.
JWT = re.compile(r"eyJ[\w-]{8,}")
SIGNED = re.compile(r"x-amz-(?:signature|credential|security-token)", re.IGNORECASE)


class Canaries:
    """Texts that are nowhere else, so that whoever finds one knows where it was sent from."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()  # others of this run, and of earlier ones, differ
        self._forms: dict[str, str] = {}  # as they are searched for → of what, and how written
        self._kept = 0

    def plant(self, what: str, around: str = "{}") -> str:
        """A text with a canary in the place of `{}`; both are looked for.

        The canary itself has letters of both cases only: it is the same in most encodings.
        """
        letters = self._random.choices(string.ascii_lowercase, k=14)
        core = "".join(letter.upper() if n % 3 else letter for n, letter in enumerate(letters))
        return self.keep(what, around.replace("{}", core), core)

    def digits(self, what: str, around: str) -> str:
        """The same of digits, for telephone numbers."""
        core = "".join(self._random.choices(string.digits, k=11))
        return self.keep(what, around.replace("{}", core), core)

    def keep(self, what: str, text: str, core: str | None = None) -> str:
        """Looks for a text that others made, such as a token."""
        self._kept += 1
        for canary in (text, core) if core is not None else (text,):
            for form in forms(canary):
                self._forms.setdefault(form.casefold(), f"{what} ({self._kept}) as {form}")
        return text

    def found_in(self, text: str) -> list[str]:
        """Which of them stand in a text, in any form."""
        folded = text.casefold()
        return [what for form, what in self._forms.items() if form in folded]


def forms(text: str) -> set[str]:
    """How a text may be written in a log; upper and lower case are compared as one."""
    raw = text.encode()
    escaped = json.dumps(text)[1:-1]
    found = {
        text,
        escaped,
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],  # JSON within JSON
        repr(text)[1:-1],
        ascii(raw)[2:-1],
        quote(text),
        quote(text, safe=""),
        quote_plus(text),
        raw.hex(),
    }
    for encode in (b64encode, urlsafe_b64encode):
        # In the midst of something longer it can stand in three ways; the ends depend on that.
        for shift in range(3):
            whole = encode(b"\0" * shift + raw).decode().rstrip("=")
            found.add(whole[shift + 1 if shift else 0 : -1 if len(whole) > 8 else None])
    return found


def secrets_of(directory: Path) -> dict[str, str]:
    """Every generated secret, and of a private key each line, by where it is."""
    return {
        f"{path.name}:{number}": line
        for path in sorted(directory.iterdir())
        if "public" not in path.name
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 8 and not line.startswith("-----")
    }


def line_faults(line: str, routes: Iterable[str] | None) -> list[str]:
    """What is wrong with a line of a log.

    Args:
        routes: what a request's `route` may be; None for any.
    """
    try:
        event = json.loads(line)
    except ValueError:
        return ["not JSON"]
    if not isinstance(event, dict):
        return ["no object"]
    faults = [f"no {name}" for name in ALWAYS if not _is_text(event.get(name))]
    if event.get("level") not in LEVELS:
        faults.append("no such level")
    if not _is_moment(event.get("time")):
        faults.append("time is no moment in UTC")
    if event.get("event") == "request":
        faults += _request_faults(event, routes)
    return faults


def _request_faults(event: dict[str, Any], routes: Iterable[str] | None) -> list[str]:
    faults = []
    route = event.get("route")
    if not isinstance(route, str) or not route or (routes is not None and route not in routes):
        faults.append("no such route")
    if type(event.get("status")) is not int:
        faults.append("no status")
    if type(event.get("duration_ms")) not in (int, float):
        faults.append("no duration")
    if not _is_text(event.get("trace_id")):
        faults.append("no trace")
    if routes is not None and not _is_text(event.get("request_id")):
        faults.append("no request id")
    if routes is not None and "caller" not in event:
        faults.append("no caller, not even null")
    return faults


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_moment(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).utcoffset() == timedelta(0)
    except ValueError:
        return False
