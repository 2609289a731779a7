"""What can go wrong with a request, in the load balancer's words."""


class RefusedError(Exception):
    """The gateway answers by itself, with this status."""

    def __init__(self, status: int) -> None:
        """Remember the status that the client gets."""
        super().__init__(status)
        self.status = status


class BadResponseError(Exception):
    """The target answered something that is not HTTP."""


class ConnectionClosedError(ConnectionError):
    """The other side closed the connection, cleanly (FIN) or not (reset)."""

    def __init__(self, *, clean: bool) -> None:
        """Remember how it ended, since a body that runs to the end of a connection needs a FIN."""
        super().__init__("closed" if clean else "reset")
        self.clean = clean


class ClientGoneError(ConnectionError):
    """The client closed its connection before it had its answer."""


class IdleTimeoutError(Exception):
    """No byte came or went on a connection for the idle timeout."""


class DrainTimeoutError(Exception):
    """The deregistration delay ran out with the request still in flight."""
