"""./dev logs: what the instances wrote since the suite was started."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.rundir import RunDirectory

_FOLLOW_SECONDS = 0.2


class Tail:
    """Reads a log file on, from one call to the next; a new file of that name from its start."""

    def __init__(self, path: Path, prefix: str) -> None:
        """Begin at the start of `path`; each line is printed behind `prefix`."""
        self._path = path
        self._prefix = prefix
        self._inode = 0
        self._offset = 0

    def lines(self) -> list[str]:
        """Return the whole lines written since the last call."""
        try:
            with self._path.open("rb") as file:
                inode = self._path.stat().st_ino
                if inode != self._inode:
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [f"{self._prefix}{line}" for line in whole.decode(errors="replace").splitlines()]


def main(arguments: Sequence[str]) -> int:
    """Print the logs of one instance, of a service's instances, or of all; 2 for an unknown one."""
    parser = argparse.ArgumentParser(prog="./dev logs", description=__doc__)
    parser.add_argument("name", nargs="?", help="an instance (users-1) or a service (users)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--run-dir", type=Path, default=RunDirectory().path)
    options = parser.parse_args(arguments)
    logs = {path.stem: path for path in sorted(RunDirectory(options.run_dir).logs.glob("*.log"))}
    wanted = [name for name in logs if options.name in (None, name, name.rpartition("-")[0])]
    if not wanted:
        known = ", ".join(logs) or "none yet: ./dev up makes them"
        print(f"dev: there is no log of {options.name or 'anything'} ({known})", file=sys.stderr)
        return 2
    width = max(map(len, wanted))
    tails = [Tail(logs[name], f"{name:{width}}  " if len(wanted) > 1 else "") for name in wanted]
    try:
        while True:
            for tail in tails:
                for line in tail.lines():
                    print(line, flush=True)
            if not options.follow:
                return 0
            time.sleep(_FOLLOW_SECONDS)  # no event of the standard library tells of a new line
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
