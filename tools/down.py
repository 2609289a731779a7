"""./dev down: end the suite and wait until nothing of it is left. 0 also when nothing runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.rundir import LEFTOVER_SECONDS, RunDirectory, StillAliveError, wait_for


def main(arguments: Sequence[str]) -> int:
    """Tell the supervisor to end; kill it when it does not, which ends its children too."""
    parser = argparse.ArgumentParser(prog="./dev down", description=__doc__)
    parser.add_argument("--run-dir", type=Path, default=RunDirectory().path)
    run = RunDirectory(parser.parse_args(arguments).run_dir.resolve())
    pid = run.supervisor_pid()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: run.supervisor_pid() is None or None, LEFTOVER_SECONDS):
            print(f"the supervisor ({pid}) doesn't end, is killed", file=sys.stderr)
            os.kill(pid, signal.SIGKILL)
    elif not run.path.is_dir():
        print("nothing runs")
        return 0
    try:
        os.close(run.lock_children())
    except StillAliveError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    run.suite.unlink(missing_ok=True)
    print("nothing runs" if pid is None else "ended")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
