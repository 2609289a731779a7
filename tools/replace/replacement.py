"""One service's containers, old and new, and the steps from the ones to the others."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.containers import Container, DockerError, Suite

WAIT_SECONDS = 120.0
_LOOK_SECONDS = 0.5  # neither the engine nor the gateway tells when something happens
_LOG_LINES = 20
_ID_DIGITS = 12  # as many as docker prints


class ReplaceError(Exception):
    """The service was not replaced; the text says why."""


class Replacement:
    """One service's containers, old and new, and the steps from the ones to the others.

    From `wait_until_healthy` to `retire` both serve. Each step raises DockerError where docker
    can't do it.

    Attributes:
        service: its name.
        old: those that ran at the beginning.
        new: those that were started beside them.
        retiring: whether the old ones are being ended: from then on there is no way back.
        settled: whether all is done.
    """

    def __init__(self, suite: Suite, service: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Look at what runs.

        Raises:
            ReplaceError: nothing of the service does, or an earlier replacement is unfinished.
        """
        self._suite = suite
        self._wait_seconds = wait_seconds
        self.service = service
        before = suite.containers()
        self.old = [one for one in before if one.service == service and one.running]
        self.new: list[Container] = []
        self.retiring = self.settled = False
        self._before_create: set[str] | None = None  # only while it is not known what was made
        if not self.old:
            raise ReplaceError(f"no {service} runs: docker compose up --wait starts the suite")
        _refuse_several_images(self.old)
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
        there = self._look()
        # One that has ended would be counted as one that is there already. Only now, as the logs
        # of one that ended are wanted where the newer build can't even be made.
        if ended := [one.id for one in there if not one.running]:
            self._suite.docker("rm", *ended)
        running = {one.id for one in there if one.running}
        self._before_create = running
        self._create(self.service, "--scale", f"{self.service}={len(running) + len(self.old)}")
        self._find_new()
        if len(self.new) != len(self.old):
            made = f"{len(self.new)} containers of {self.service}"
            raise ReplaceError(f"Compose made {made} beside {len(running)}")
        # Not by `up --wait`, which waits for the old too: a sick one could not be replaced.
        ids = {one.id for one in self.new}
        self._suite.docker("start", *sorted(ids))
        self.new = [one for one in self._look() if one.id in ids]  # they have addresses now

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
        self.retiring = True
        # Within the grace period of docker-compose.yml, in which they drain.
        ids = [one.id for one in self.old]
        self._suite.docker("stop", *ids)
        self._suite.docker("rm", *ids)
        # Their addresses may be another container's from now on, which is not to be mistaken.
        deadline = time.monotonic() + self._wait_seconds
        while left := [one for one in self.old if self._state(one) is not None]:
            if time.monotonic() > deadline:
                raise ReplaceError(f"{names(left)}: ended, and the gateway still knows it")
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
        self.settled = True

    def undo(self) -> None:
        """Call the old ones' image by its name again, and remove what was started, nothing else.

        Each is tried, whatever becomes of the others. Raises DockerError with all that failed.
        """
        failed = []
        # The name first: the next `docker compose up` would take the image that has just failed.
        for step in (self._name_old, self._find_new, self._stop_new, self._remove_new):
            try:
                step()
            except DockerError as error:
                failed.append(str(error))
        if failed:
            raise DockerError("; ".join(failed))

    def by_hand(self) -> str:
        """The commands that do what `undo` does; those that it did do no harm."""
        old = self.old[0]
        commands = [f"docker tag {old.image} {old.image_name}"]
        if self.new:
            commands.append(f"docker rm --force {' '.join(sorted(one.name for one in self.new))}")
        elif self._before_create is not None:
            commands.append(f"docker rm --force those of {self.service} but {names(self.old)}")
        return "; ".join(commands)

    def _look(self) -> list[Container]:
        return [one for one in self._suite.containers() if one.service == self.service]

    def _create(self, *arguments: str) -> None:
        # `up --no-deps` would do it too, but remember that nothing is depended on: for the next
        # `up` that is another configuration, and it would make all of it anew.
        self._suite.compose("create", "--no-recreate", "--no-build", *arguments)

    def _find_new(self) -> None:
        # All that appeared while Compose was making them, though it may not have told: another
        # that appears before or after is somebody else's.
        if self._before_create is not None:
            self.new = [one for one in self._look() if one.id not in self._before_create]
            self._before_create = None

    def _name_old(self) -> None:
        self._suite.docker("tag", self.old[0].image, self.old[0].image_name)

    def _stop_new(self) -> None:
        if self.new:
            self._suite.docker("stop", *(one.id for one in self.new))

    def _remove_new(self) -> None:
        if self.new:
            self._suite.docker("rm", *(one.id for one in self.new))

    def _lives(self, containers: Iterable[Container]) -> set[tuple[str, str, str]]:
        """Which others there are, and since when: one that was restarted is not the same."""
        own = {self.service, *(one.service for one in self._once)}
        return {(one.name, one.id, one.started_at) for one in containers if one.service not in own}

    def _state(self, container: Container) -> str | None:
        """How the gateway sees a container; None where it doesn't know it."""
        targets = self._suite.targets(self.service)
        return next((targets[one] for one in container.addresses if one in targets), None)

    def _why(self, containers: Sequence[Container], why: str) -> str:
        last = [line for one in containers for line in self._suite.last_lines(one, _LOG_LINES)]
        return "\n".join([f"{names(containers)} {why}; what was logged last:", *last])


def _refuse_several_images(running: Sequence[Container]) -> None:
    """Raise ReplaceError if these are of more than one build: they would all be doubled."""
    by_image = defaultdict(list)
    for one in sorted(running, key=lambda one: one.started_at):
        by_image[one.image].append(one)
    if len(by_image) > 1:
        found = (
            f"{names(those)} of {image.removeprefix('sha256:')[:_ID_DIGITS]}"
            for image, those in by_image.items()
        )
        raise ReplaceError(
            f"an earlier replacement is unfinished: {', then '.join(found)} were started;"
            " docker stop those of all images but one, and run this again"
        )


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


def names(containers: Iterable[Container]) -> str:
    """Theirs, in order."""
    return ", ".join(sorted(one.name for one in containers))
