"""Histories made by hand, each with one kind of breach: the checker must find just that."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tools.stress.check import breaches
from tools.stress.clinic import BASE, DOCTORS, instant
from tools.stress.history import NEVER, History, Kept, Operation, Regime, Request, Version

DOCTOR = DOCTORS["doctor-day"]
DAY = int((BASE + timedelta(days=1)).replace(hour=0).timestamp())
NINE, TEN, ELEVEN = (DAY + hour * 3600 for hour in (9, 10, 11))


class Story:
    """Builds a history: one patient each, unless it is said, and one doctor."""

    def __init__(self) -> None:
        self.history = History(regimes={DOCTOR.id: [Regime(DOCTOR.rules(0), 0, 0)]})
        self._kept: dict[str, Kept] = {}

    def asked(
        self, kind: str, span: tuple[int, int], status: int = 0, code: str = "", **rest: Any
    ) -> Operation:
        """A request and its answer; what it shows is added by `shows`."""
        body = rest.pop("body", json.dumps({"code": code}).encode() if code else b"")
        replayed = rest.pop("replayed", False)
        mark = rest.pop("mark", f"m{len(self.history.operations)}")
        request = Request(
            kind=kind,
            mark=mark,
            method="POST",
            path="/",
            caller=("staff", "admin"),
            doctor=rest.pop("doctor", DOCTOR.id),
            patient=rest.pop("patient", mark),
            **rest,
        )
        called, returned = span
        operation = Operation(request, called, BASE, returned, BASE, status, body, replayed)
        if operation.in_doubt:
            operation.returned = NEVER
        self.history.operations.append(operation)
        return operation

    def booked(
        self, start: int, span: tuple[int, int], kind: str = "book", **rest: Any
    ) -> Operation:
        """A booking that was answered 201, and is there."""
        operation = self.asked(kind, span, 201, starts=start, **rest)
        self.is_there(operation, start)
        self.shows(operation, operation.request.mark, 1, "booked", start)
        return operation

    def changed(
        self, kind: str, of: Operation, span: tuple[int, int], status: str, **rest: Any
    ) -> Operation:
        """A change that was answered 200, and is there."""
        name = of.request.mark
        start = rest.get("starts", self._kept[name].versions[-1].starts)
        operation = self.asked(kind, span, 200, target=name, patient=of.request.patient, **rest)
        self.becomes(name, status, start, operation.request.mark)
        self.shows(operation, name, len(self._kept[name].versions), status, start)
        return operation

    def is_there(self, operation: Operation, start: int, mark: str | None = None) -> None:
        """The table has what an operation has booked; it is called by the operation's mark."""
        request = operation.request
        name = request.mark
        override = request.kind == "override"
        versions = (Version(1, "booked", start, mark or name),)
        self._kept[name] = Kept(name, request.doctor, request.patient, override, None, versions)

    def becomes(self, name: str, status: str, start: int, mark: str) -> None:
        """An appointment has one more version."""
        kept = self._kept[name]
        version = Version(len(kept.versions) + 1, status, start, mark)
        self._kept[name] = Kept(
            name, kept.doctor, kept.patient, kept.override, None, (*kept.versions, version)
        )

    def loses(self, name: str) -> None:
        del self._kept[name]

    @staticmethod
    def shows(operation: Operation, name: str, version: int, status: str, start: int) -> None:
        document = {"id": name, "version": version, "status": status, "starts_at": instant(start)}
        operation.body = json.dumps(document).encode()

    def found(self) -> list[str]:
        self.history.kept = [*self._kept.values()]
        return breaches(self.history)


def refused(story: Story, kind: str, span: tuple[int, int], code: str, **rest: Any) -> Operation:
    return story.asked(kind, span, 409, code, **rest)


def only(story: Story, words: str) -> None:
    found = story.found()
    assert len(found) == 1, found
    assert words in found[0], found


def test_a_history_of_every_kind_is_explained() -> None:
    story = Story()
    first = story.booked(NINE, (1, 10))
    refused(story, "book", (2, 12), "slot_taken", starts=NINE)
    refused(story, "book", (14, 15), "patient_busy", starts=NINE, patient="m0")
    moved = story.changed("move", first, (11, 16), "booked", starts=TEN)
    assert moved.done
    story.booked(NINE, (13, 18))
    over = story.booked(TEN, (20, 21), "override")
    refused(story, "override", (22, 23), "slot_taken", starts=TEN)
    story.changed("move", over, (24, 25), "booked", starts=ELEVEN)
    story.changed("check_in", first, (26, 27), "checked_in")
    refused(story, "check_in", (28, 29), "wrong_status", target="m0")
    story.changed("complete", first, (30, 31), "completed")
    refused(story, "cancel", (32, 33), "version_mismatch", target="m0", if_match=2)
    read = story.asked("read", (25, 27), 200, target="m0")
    story.shows(read, "m0", 3, "checked_in", TEN)
    assert story.found() == []


def test_two_that_overlap() -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    story.booked(NINE, (3, 4))
    only(story, "no order of the events explains")


def test_two_of_one_patient_that_overlap_with_two_doctors() -> None:
    story = Story()
    other = DOCTORS["doctor-moody"]
    story.history.regimes[other.id] = [Regime(other.rules(0), 0, 0)]
    story.booked(NINE, (1, 2), patient="pat")
    story.booked(NINE, (3, 4), doctor=other.id)
    assert story.found() == []
    story.booked(NINE + 20 * 60, (5, 6), patient="pat", doctor=other.id)
    only(story, "no order of the events explains")


def test_a_time_that_is_taken_before_it_is_given_back() -> None:
    story = Story()
    first = story.booked(NINE, (1, 2))
    story.booked(NINE, (3, 4))
    story.changed("cancel", first, (5, 6), "cancelled")
    only(story, "no order of the events explains book m1")


def test_one_lost_request_explains_what_needs_it_and_no_more() -> None:
    story = Story()
    first = story.booked(NINE, (1, 2))
    story.booked(NINE, (5, 6))
    lost = story.asked("cancel", (3, NEVER), target="m0", patient="m0")
    story.becomes(first.request.mark, "cancelled", NINE, lost.request.mark)
    assert story.found() == []
    lost.called = 7
    only(story, "no order of the events explains book m1")


def test_orders_that_the_earliest_return_does_not_find_are_found() -> None:
    story = Story()
    first = story.booked(NINE, (1, 10))
    second = story.booked(NINE, (2, 12))
    story.changed("cancel", first, (15, 20), "cancelled")
    story.changed("cancel", second, (3, 30), "cancelled")
    assert story.found() == []


def test_an_answer_that_is_not_there_afterwards() -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    story.loses("m0")
    assert any("isn't there in version 1" in one for one in story.found())


def test_an_answer_that_tells_something_else() -> None:
    story = Story()
    story.shows(story.booked(NINE, (1, 2)), "m0", 1, "booked", TEN)
    only(story, "it said")


def test_a_refusal_that_happened() -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    story.is_there(refused(story, "book", (3, 4), "slot_taken", starts=TEN), TEN)
    only(story, "refused, and it happened")


@pytest.mark.parametrize("code", ["slot_taken", "patient_busy"])
def test_a_refusal_for_a_time_that_nobody_holds(code: str) -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    refused(story, "book", (3, 4), code, starts=TEN)
    only(story, f"explains {code}")


def test_a_refusal_for_a_time_that_was_given_back_before() -> None:
    story = Story()
    first = story.booked(NINE, (1, 2))
    story.changed("cancel", first, (3, 4), "cancelled")
    refused(story, "book", (5, 6), "slot_taken", starts=NINE)
    only(story, "explains slot_taken")


def test_a_refusal_for_a_state_that_is_none() -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    refused(story, "complete", (3, 4), "wrong_status", target="m0")
    refused(story, "check_in", (5, 6), "wrong_status", target="m0")
    only(story, "explains wrong_status of check_in")


def test_a_key_that_was_done_twice() -> None:
    story = Story()
    story.booked(NINE, (1, 2), mark="m", key="k")
    again = story.booked(NINE, (3, 4), mark="m", key="k")
    story.shows(again, "m", 1, "booked", NINE)
    only(story, "it was done again")


def test_a_key_that_made_two_appointments() -> None:
    story = Story()
    lost = story.asked("book", (1, 2), starts=NINE, mark="m", key="k", patient="pat")
    story.is_there(lost, NINE)
    twin = story.asked("book", (3, 4), starts=NINE, mark="twin", key="k", patient="pat")
    story.history.operations.remove(twin)
    story.is_there(twin, NINE, mark="m")
    only(story, "2 of 1 happened")


def test_a_key_that_was_answered_otherwise_the_second_time() -> None:
    story = Story()
    story.booked(NINE, (1, 2), mark="m", key="k")
    again = story.asked("book", (3, 4), 201, starts=NINE, mark="m", key="k", replayed=True)
    story.shows(again, "m", 1, "booked", NINE)
    again.body += b" "
    only(story, "answered differently")


def test_a_retry_that_is_told_that_its_own_time_is_taken() -> None:
    story = Story()
    story.booked(NINE, (1, 2), mark="m", key="k")
    refused(story, "book", (3, 4), "slot_taken", starts=NINE, mark="m", key="k")
    only(story, "refused after its key")


def test_a_version_that_grew_by_two() -> None:
    story = Story()
    first = story.booked(NINE, (1, 2))
    story.changed("check_in", first, (3, 4), "checked_in")
    kept = story._kept["m0"]
    skipped = Version(3, "checked_in", NINE, "m1")
    story._kept["m0"] = Kept("m0", DOCTOR.id, "m0", False, None, (kept.versions[0], skipped))
    only(story, "version 3 where 2 should be")


def test_what_nobody_asked_for() -> None:
    story = Story()
    story.booked(NINE, (1, 2))
    story.becomes("m0", "cancelled", NINE, "somebody")
    only(story, "nobody asked for its version 2")


def test_a_series_of_which_a_part_is_there() -> None:
    story = Story()
    series = story.asked("series", (1, 2), starts=NINE, count=2)
    story.is_there(series, NINE)
    only(story, "1 of 2 happened")


def test_a_booking_after_the_hours_were_closed() -> None:
    story = Story()
    closed = DOCTOR.rules(0)
    day = (BASE + timedelta(days=1)).date()
    closed = type(closed)(**{**vars(closed), "overrides": {day: ()}})
    story.history.regimes[DOCTOR.id].append(Regime(closed, 3, 4))
    story.booked(NINE, (2, 5))
    assert story.found() == []
    story.booked(TEN, (5, 6))
    only(story, "the hours did not allow")


def test_a_refusal_for_hours_that_are_open() -> None:
    story = Story()
    story.asked("book", (1, 2), 422, "outside_hours", starts=NINE)
    only(story, "outside_hours of")


@pytest.mark.parametrize(("status", "code"), [(500, ""), (404, "not_found")])
def test_answers_without_a_cause(status: int, code: str) -> None:
    story = Story()
    story.asked("book", (1, 2), status, code, starts=NINE)
    assert len(story.found()) == 1


def test_a_request_without_an_end() -> None:
    story = Story()
    story.asked("book", (1, 2), starts=NINE).hung = True
    only(story, "no end")
