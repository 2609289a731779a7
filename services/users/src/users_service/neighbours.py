"""The appointments and files services, asked over HTTP about what they keep of a person."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from servicekit.peers import Peer, PeerUnavailableError
from users_service.errors import NeighbourUnavailableError

_PAGE: Final = 100
_OF_PATIENT: Final = "/v1/appointments/erasures/{patient_id}"
_OF_APPOINTMENT: Final = "/v1/files/erasures/{appointment_id}"

Document = Mapping[str, Any]
Token = Callable[[], Awaitable[str]]


class HTTPNeighbours:
    """Both services behind the ports of erasing and of exports.

    Args:
        token: this service's own token, with the scope `erase`.
    """

    def __init__(self, appointments: Peer, files: Peer, token: Token) -> None:
        self._appointments = appointments
        self._files = files
        self._token = token

    async def appointment_ids(
        self, patient_id: str, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """A page of a patient's appointments, and the cursor to the next."""
        token, pattern = await self._token(), f"{_OF_PATIENT}?limit={_PAGE}"
        items, following = await _page(
            self._appointments, pattern, token, cursor, patient_id=patient_id
        )
        return [str(item) for item in items], following

    async def erase_files(self, appointment_id: str) -> bool:
        """Deletes some of an appointment's files; whether there may be more."""
        token = await self._token()
        return await _erase(self._files, _OF_APPOINTMENT, token, appointment_id=appointment_id)

    async def erase_appointments(self, patient_id: str) -> bool:
        """Takes the patient out of some appointments; whether there may be more."""
        token = await self._token()
        return await _erase(self._appointments, _OF_PATIENT, token, patient_id=patient_id)

    async def appointments(
        self, token: str, cursor: str | None
    ) -> tuple[list[Document], str | None]:
        """A page of the appointments of whose token it is, and the cursor to the next."""
        return await _page(self._appointments, f"/v1/appointments?limit={_PAGE}", token, cursor)

    async def waitlist(self, token: str, cursor: str | None) -> tuple[list[Document], str | None]:
        """A page of the entries of the waiting list of whose token it is, and the cursor."""
        return await _page(self._appointments, f"/v1/waitlist?limit={_PAGE}", token, cursor)

    async def history(self, token: str, appointment_id: str) -> list[Document]:
        """All that happened to an appointment, which is one page."""
        pattern = "/v1/appointments/{id}/history"
        items, _ = await _page(self._appointments, pattern, token, None, id=appointment_id)
        return items

    async def files(self, token: str, appointment_id: str) -> list[Document]:
        """The descriptions of an appointment's files."""
        pattern = f"/v1/files?limit={_PAGE}&appointment_id={{id}}"
        found: list[Document] = []
        cursor = None
        while True:
            items, cursor = await _page(self._files, pattern, token, cursor, id=appointment_id)
            found += items
            if cursor is None:
                return found


async def _page(
    peer: Peer, pattern: str, token: str, cursor: str | None, **parts: str
) -> tuple[list[Any], str | None]:
    """A page of a list. Raises NeighbourUnavailableError."""
    if cursor is not None:
        pattern += "&cursor={cursor}"
        parts["cursor"] = cursor
    body = await _call(peer, "GET", pattern, token, parts)
    try:
        return list(body["items"]), body["next_cursor"]
    except (KeyError, TypeError) as error:
        raise NeighbourUnavailableError("another service answered something else") from error


async def _erase(peer: Peer, pattern: str, token: str, **parts: str) -> bool:
    """Whether there may be more to erase. Raises NeighbourUnavailableError."""
    body = await _call(peer, "POST", pattern, token, parts)
    remaining = body.get("remaining") if isinstance(body, dict) else None
    if not isinstance(remaining, bool):
        raise NeighbourUnavailableError("another service answered something else")
    return remaining


async def _call(peer: Peer, method: str, pattern: str, token: str, parts: dict[str, str]) -> Any:
    try:
        answer = await peer.call(method, pattern, parts, token=token)
    except PeerUnavailableError as error:
        raise NeighbourUnavailableError("another service can't be asked just now") from error
    if answer.status != HTTPStatus.OK:
        raise NeighbourUnavailableError(f"another service answered {answer.status}")
    return answer.body
