"""Erasures on the wire."""

from servicekit.paging import Page
from servicekit.wire import Wire


class AppointmentIds(Page[str]):
    """The ids of a patient's appointments."""


class Erased(Wire):
    """How far an erasure has come; `remaining`: call again, there may be more to do."""

    remaining: bool
