"""Open times as JSON text, each made once: a month has hundreds, and they are listed often."""

from collections.abc import Iterable
from functools import lru_cache
from weakref import WeakKeyDictionary

from appointments_service.domain.availability import DayGrid, OpenDay, moment_of
from appointments_service.domain.schedules import Schedule
from appointments_service.schemas import Slot, Slots


@lru_cache(maxsize=1 << 14)
def _slot_json(start: int, end: int) -> bytes:
    slot = Slot(starts_at=moment_of(start), ends_at=moment_of(end))
    return slot.model_dump_json().encode()


# Of whole days of which nothing is taken, as long as their grids are kept.
_day_texts: WeakKeyDictionary[DayGrid, bytes] = WeakKeyDictionary()


def _day_json(grid: DayGrid) -> bytes:
    text = _day_texts.get(grid)
    if text is None:
        text = b",".join([_slot_json(slot.start, slot.end) for slot in grid.slots.values()])
        _day_texts[grid] = text
    return text


def encode_slots(schedule: Schedule, days: Iterable[OpenDay]) -> bytes:
    """A `Slots` document as JSON."""
    head = Slots.model_construct(
        doctor_id=schedule.doctor_id, timezone=schedule.timezone, slots=[]
    ).model_dump_json()
    texts = [
        _day_json(day.grid)
        if day.slots is None
        else b",".join([_slot_json(slot.start, slot.end) for slot in day.slots])
        for day in days
    ]
    return head.encode()[:-2] + b",".join(filter(None, texts)) + b"]}"
