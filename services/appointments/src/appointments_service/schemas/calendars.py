"""Calendar feeds on the wire."""

from servicekit.wire import Wire


class Calendar(Wire):
    """Where a calendar can be subscribed to. Its secret is told this once."""

    url: str
