"""Looks for an order of all events that the sequential model allows and real time does, too.

This is linearizability as Herlihy and Wing define it ("Linearizability: a correctness condition for
concurrent objects", 1990), searched for as Wing and Gong do ("Testing and verifying concurrent
objects", 1993): each event gets one place between its call and its return. What was seen and is
true takes its place at once, since it changes nothing. Of what changes something the earliest
return comes first; where that leads nowhere, another is tried. Events without a return (nobody was
told) come where they are needed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tools.stress.calendar import Calendars, Event
from tools.stress.history import NEVER

MOST_STEPS = 2_000_000
"""An end to a search among very many orders; it is told apart from a breach."""


class Search:
    """One search. `stuck` is the event that no order could explain, None if there is one."""

    def __init__(self, events: Sequence[Event], state: Calendars) -> None:
        self._state = state
        self._finite = sorted((one for one in events if one.returned < NEVER), key=_call)
        self._open = sorted((one for one in events if one.returned >= NEVER), key=_call)
        self._place = {id(one): n for n, one in enumerate(self._finite)}
        self._first = 0  # all before it are done
        self._done: set[int] = set()
        # Sets of events are told apart by a number of 128 bits each.
        numbers = random.Random(1)
        self._number = {id(one): numbers.getrandbits(128) for one in events}
        self._key = 0
        self._failed: set[int] = set()
        self._best = -1
        self._trail: list[Event] = []
        self.stuck: Event | None = None
        self.steps = 0

    def run(self) -> bool:
        """Whether there is such an order. Otherwise `stuck` tells what was in the way."""
        self._observe()
        branches = [(len(self._trail), self._choices())]
        while branches and len(self._done) < len(self._number):
            self.steps += 1
            if self.steps > MOST_STEPS:
                return False
            depth, choices = branches[-1]
            self._back_to(depth)
            chosen = next(choices, None)
            if chosen is None:
                self._failed.add(self._key)
                branches.pop()
                continue
            self._apply(chosen)
            self._observe()
            if self._key not in self._failed:
                branches.append((len(self._trail), self._choices()))
        if len(self._done) < len(self._number):
            return False
        self.stuck = None
        return True

    def _back_to(self, depth: int) -> None:
        while len(self._trail) > depth:
            event = self._trail.pop()
            self._state.undo(event)
            self._done.discard(id(event))
            self._key ^= self._number[id(event)]
            self._first = min(self._first, self._place.get(id(event), self._first))

    def _apply(self, event: Event) -> None:
        self._state.happen(event)
        self._trail.append(event)
        self._done.add(id(event))
        self._key ^= self._number[id(event)]

    def _window(self) -> list[Event]:
        """Finite events that may come next: called before any of the others has returned."""
        found: list[Event] = []
        earliest = NEVER
        finite, done = self._finite, self._done
        while self._first < len(finite) and id(finite[self._first]) in done:
            self._first += 1
        for number in range(self._first, len(finite)):
            event = finite[number]
            if event.called > earliest:
                break
            if id(event) not in done:
                found.append(event)
                earliest = min(earliest, event.returned)
        return [one for one in found if one.called < earliest]

    def _observe(self) -> None:
        """Places whatever was seen and is true."""
        again = True
        while again:
            again = False
            for event in self._window():
                if event.seen is not None and self._state.allows(event):
                    self._apply(event)
                    again = True

    def _choices(self) -> Iterator[Event]:
        """What may happen next, what is due first; taken down when it is asked for."""
        window = sorted(self._window(), key=_return)
        due = window[0] if window else None
        if len(self._done) > self._best:
            self._best, self.stuck = len(self._done), due
        limit = due.returned if due is not None else NEVER
        waiting = [one for one in self._open if one.called < limit and id(one) not in self._done]
        about = due.owners if due is not None else frozenset()
        # What has to do with the one that is due may be what it waits for.
        ranked = sorted(window[1:], key=lambda one: not one.owners & about)
        ranked += sorted(waiting, key=lambda one: not one.owners & about)
        candidates = ([due] if due is not None else []) + ranked
        for event in candidates:
            if event.seen is None and self._state.allows(event):
                yield event


def _call(event: Event) -> int:
    return event.called


def _return(event: Event) -> int:
    return event.returned
