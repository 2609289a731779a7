"""All steps of a replacement in their order, and the way back where there is one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from tools.containers import DockerError
from tools.replace.replacement import Replacement, names

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody wants this to end. As KeyboardInterrupt, it is nothing that failed.

    Attributes:
        number: that of the signal.
    """

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def raise_on_signals() -> None:
    """Have each of SIGNALS raise Interrupted, but one that is ignored, as by nohup."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def replace(replacement: Replacement, say: Callable[[str], None]) -> None:
    """Take all steps, saying what each has done; undo them if there is no way on.

    What is raised has notes (`__notes__`) of what serves, or of what could not be undone.

    Raises:
        ReplaceError: see the steps.
        DockerError: likewise.
    """
    try:
        _take_steps(replacement, say)
    except BaseException as cause:  # whatever it is, the older ones shall be alone again
        if replacement.settled:
            cause.add_note("the newer ones serve; nothing is left to do")
        elif replacement.retiring:
            cause.add_note(
                "the newer ones serve; docker stop those of the older that are left"
                " (docker compose ps), and run this again"
            )
        else:
            _go_back(replacement, cause, say)
        raise


def _take_steps(replacement: Replacement, say: Callable[[str], None]) -> None:
    service = replacement.service
    replacement.build()
    say(f"built the image of {service}")
    replacement.prepare()
    say(f"ran its {service}-init")
    replacement.start()
    say(f"started {names(replacement.new)} beside {names(replacement.old)}")
    replacement.wait_until_healthy()
    say(f"healthy for the gateway: {names(replacement.new)}")
    replacement.retire()
    say(f"drained, ended and removed {names(replacement.old)}")
    # What it looks at is nothing that `settle` depends on, whatever became of it.
    replacement.settle()
    others = replacement.verify()
    say(f"{service} is replaced; {others} other containers are as they were")


def _go_back(replacement: Replacement, cause: BaseException, say: Callable[[str], None]) -> None:
    try:
        say(f"going back to {names(replacement.old)}, which went on serving")
        replacement.undo()
    except DockerError as error:
        cause.add_note(f"and going back failed: {error}")
        cause.add_note(f"to go back by hand: {replacement.by_hand()}")
    except Interrupted as again:
        cause.add_note(f"and going back was {again}")
        cause.add_note(f"to go back by hand: {replacement.by_hand()}")
