"""./dev replace: put a newer build of one service in the place of the running one, in containers.

The newer containers start beside the older ones, which end once the gateway sends requests to the
newer: no request is lost, and no other container is touched. If the newer ones don't get healthy,
they are removed, and the older ones serve on. Exits 1 then, and 2 if docker can't do something.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tools.containers import Container, DockerError, Suite
from tools.environments import ROOT

SERVICES = ("users", "appointments", "files")
WAIT_SECONDS = 120.0
_LOOK_SECONDS = 0.5  # neither the engine nor the gateway tells when something happens
_LOG_LINES = 20


class ReplaceError(Exception):
    """The service was not replaced; the text says why."""


class Replacement:
    """One service's containers, old and new, and the steps from the ones to the others.

    From `wait_until_healthy` to `retire` both serve. Each step raises DockerError where docker
    can't do it.
    """

    def __init__(self, suite: Suite, service: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Look at what runs.

        Raises:
            ReplaceError: nothing of the service does.
        """
        self._suite = suite
        self._wait_seconds = wait_seconds
        self.service = service
        before = suite.containers()
        self.old = [one for one in before if one.service == service and one.running]
        self.new: list[Container] = []
        if not self.old:
            raise ReplaceError(f"no {service} runs: docker compose up --wait starts the suite")
        # What runs once at every start, of the same image: all but the service itself.
        image = self.old[0].image_name
        own = [one for one in before if one.image_name == image]
        self._once = [one for one in own if one.service != service]
        self._others = self._lives(before)

    def build(self) -> None:
        """Make the image of the sources as they are; what runs keeps the one that it has."""
        self._suite.compose(
            "build", "--quiet", self.service, **labels(self._suite.root, self._suite.environment)
        )

    def prepare(self) -> None:
        """Have the newer build make what it needs in its store, while the older one uses it."""
        # In a container of its own: that of `up` stays the older build's until this one is taken.
        self._suite.compose("run", "--rm", "--no-deps", "-T", f"{self.service}-init")

    def start(self) -> None:
        """Start as many new containers as old ones run, beside them.

        Raises:
            ReplaceError: Compose made another number of them.
        """
        # One that has ended would be counted as one that is there already.
        if ended := [one.id for one in self._look() if not one.running]:
            self._suite.docker("rm", *ended)
        self._create(self.service, "--scale", f"{self.service}={2 * len(self.old)}")
        self.new = self._added()
        if len(self.new) != len(self.old):
            made = f"{len(self.new)} containers of {self.service}"
            raise ReplaceError(f"Compose made {made} beside {len(self.old)}")
        # Not by `up --wait`, which waits for the old too: a sick one could not be replaced.
        self._suite.docker("start", *(one.id for one in self.new))
        self.new = self._added()  # they have addresses now

    def wait_until_healthy(self) -> None:
        """Wait until the gateway sends requests to every new container.

        Raises:
            ReplaceError: one has ended, or it takes too long.
        """
        deadline = time.monotonic() + self._wait_seconds
        while missing := [one for one in self.new if self._state(one) != "healthy"]:
            running = {one.id for one in self._look() if one.running}
            if ended := [one for one in missing if one.id not in running]:
                raise ReplaceError(self._why(ended, "has ended"))
            if time.monotonic() > deadline:
                why = f"is not healthy for the gateway after {self._wait_seconds:g} s"
                raise ReplaceError(self._why(missing, why))
            time.sleep(_LOOK_SECONDS)

    def retire(self) -> None:
        """Have the old ones finish what they are at, and remove them.

        Raises:
            ReplaceError: the gateway still knows one of them after a long time.
        """
        self._end(self.old)
        # Their addresses may be another container's from now on, which is not to be mistaken.
        deadline = time.monotonic() + self._wait_seconds
        while left := [one for one in self.old if self._state(one) is not None]:
            if time.monotonic() > deadline:
                raise ReplaceError(f"{_names(left)}: ended, and the gateway still knows it")
            time.sleep(_LOOK_SECONDS)

    def verify(self) -> int:
        """Look whether only the new ones are left; the number of other containers.

        Raises:
            ReplaceError: they are not, or another container is not what it was.
        """
        after = self._suite.containers()
        left = {one.id for one in after if one.service == self.service and one.running}
        if left != {one.id for one in self.new}:
            raise ReplaceError(f"other containers of {self.service} run than were started")
        others = self._lives(after)
        if changed := sorted({name for name, *_ in others ^ self._others}):
            raise ReplaceError(f"{', '.join(changed)} changed meanwhile")
        return len(others)

    def settle(self) -> None:
        """Make those that run once of the newer image too; the next start runs them."""
        # Or that start would make them anew, and with them all that depends on them: all others.
        if self._once:
            self._suite.docker("rm", *(one.id for one in self._once))
            self._create(*sorted({one.service for one in self._once}))

    def undo(self) -> None:
        """Remove the new ones, and call the old ones' image by its name again."""
        self._end(self._added())
        # Or the next `docker compose up` would take the image that has just failed.
        self._suite.docker("tag", self.old[0].image, self.old[0].image_name)

    def _look(self) -> list[Container]:
        return [one for one in self._suite.containers() if one.service == self.service]

    def _create(self, *arguments: str) -> None:
        # `up --no-deps` would do it too, but remember that nothing is depended on: for the next
        # `up` that is another configuration, and it would make all of it anew.
        self._suite.compose("create", "--no-recreate", "--no-build", *arguments)

    def _added(self) -> list[Container]:
        known = {one.id for one in self.old}
        return [one for one in self._look() if one.id not in known]

    def _lives(self, containers: Iterable[Container]) -> set[tuple[str, str, str]]:
        """Which others there are, and since when: one that was restarted is not the same."""
        own = {self.service, *(one.service for one in self._once)}
        return {(one.name, one.id, one.started_at) for one in containers if one.service not in own}

    def _state(self, container: Container) -> str | None:
        """How the gateway sees a container; None where it doesn't know it."""
        targets = self._suite.targets(self.service)
        return next((targets[one] for one in container.addresses if one in targets), None)

    def _end(self, containers: Iterable[Container]) -> None:
        if ids := [one.id for one in containers]:
            # Within the grace period of docker-compose.yml, in which it drains.
            self._suite.docker("stop", *ids)
            self._suite.docker("rm", *ids)

    def _why(self, containers: Sequence[Container], why: str) -> str:
        last = [line for one in containers for line in self._suite.last_lines(one, _LOG_LINES)]
        return "\n".join([f"{_names(containers)} {why}; what was logged last:", *last])


def replace(replacement: Replacement, say: Callable[[str], None]) -> None:
    """Take all steps, saying what each has done; undo them if there is no way on.

    Raises:
        ReplaceError: see the steps.
        DockerError: likewise.
    """
    service = replacement.service
    try:
        replacement.build()
        say(f"built the image of {service}")
        replacement.prepare()
        say(f"ran its {service}-init")
        replacement.start()
        say(f"started {_names(replacement.new)} beside {_names(replacement.old)}")
        replacement.wait_until_healthy()
        say(f"healthy for the gateway: {_names(replacement.new)}")
    except BaseException:  # an impatient Ctrl-C too
        say(f"going back to {_names(replacement.old)}, which went on serving")
        replacement.undo()
        raise
    replacement.retire()
    say(f"drained, ended and removed {_names(replacement.old)}")
    others = replacement.verify()
    replacement.settle()
    say(f"{service} is replaced; {others} other containers are as they were")


def labels(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What the labels of an image shall say besides of sources, if git knows them."""
    if not (root / ".git").exists():
        return {}  # or git might tell of a repository around it
    asked = {"VERSION": "describe --tags --always --dirty", "REVISION": "rev-parse HEAD"}
    found = {}
    for name in asked.keys() - environment.keys():
        command = ["git", *asked[name].split()]
        git = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if git.returncode == 0:
            found[name] = git.stdout.strip()
    return found


def _names(containers: Iterable[Container]) -> str:
    return ", ".join(sorted(one.name for one in containers))


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./dev replace", description=__doc__)
    parser.add_argument("service", choices=SERVICES, metavar="SERVICE", help=", ".join(SERVICES))
    parser.add_argument("--project", help="the name that it was started under, if it was given one")
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long the newer build may take to get healthy ({WAIT_SECONDS:g})",
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    try:
        suite = Suite(ROOT, options.project)
        replace(Replacement(suite, options.service, wait_seconds=options.wait), say)
    except ReplaceError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except DockerError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
