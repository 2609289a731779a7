"""Child processes that never outlive the program which started them."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)

# Loaded before any fork: a child between fork and exec must not import or allocate much.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Make a `preexec_fn` that binds a child's life to this process.

    On Linux the kernel sends `sign` to the child when the thread that started it ends, however it
    ends (prctl(2), PR_SET_PDEATHSIG), so a supervisor killed with SIGKILL takes its children along.
    The setting does not reach grandchildren, and a program that changes its user loses it: pass
    `user=` to `Popen`, which changes the user before this runs.

    Other systems have nothing like it. There a child outlives a parent that was killed with
    SIGKILL until the next `./dev up` or `./dev down` ends what the run directory still records.
    """
    parent = os.getpid()

    def bind() -> None:
        if _LIBC is None:
            return
        if _LIBC.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0) != 0:
            os._exit(126)
        if os.getppid() != parent:  # the parent was gone before the kernel was told
            os._exit(126)

    return bind


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process and wait until it is gone; kill it if it takes longer than `seconds`."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port(preferred: int | None = None, host: str = "127.0.0.1") -> int:
    """Return `preferred` when it can be listened on, otherwise any free port of `host`.

    The port is not held: another program may take it before the caller's child does.
    """
    if preferred is not None and can_listen(preferred, host):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def can_listen(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether `port` can be listened on; one in TIME_WAIT counts as free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
