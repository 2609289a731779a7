"""The appointments service, asked who may see an appointment."""

from http import HTTPStatus

from files_service.errors import AppointmentsUnavailableError, NotFoundError, TokenRefusedError
from servicekit.peers import Peer, PeerAnswer, PeerUnavailableError


class AppointmentsPeer:
    """Asks with the caller's own token, each time.

    A cached yes would save one read by key and outlive the right it stands for; the calls that
    follow one another for one appointment are few.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def require_visible(self, appointment_id: str, token: str) -> str:
        """Lets a caller pass who may see the appointment; whose it is: its patient's id.

        Raises:
            NotFoundError: there is none, or not for this caller.
            TokenRefusedError: appointments doesn't take the token.
            AppointmentsUnavailableError: it can't be known just now.
        """
        found = await self._get("/v1/appointments/{id}", token, id=appointment_id)
        status = found.status
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
            raise NotFoundError
        if status == HTTPStatus.UNAUTHORIZED:
            raise TokenRefusedError("the access token is refused")
        if status != HTTPStatus.OK:
            raise AppointmentsUnavailableError(f"appointments answered {status}")
        patient_id = found.body.get("patient_id") if isinstance(found.body, dict) else None
        if not isinstance(patient_id, str):
            raise AppointmentsUnavailableError("appointments did not say whose it is")
        return patient_id

    async def check(self) -> None:
        """Raises AppointmentsUnavailableError unless the service answers, if only to refuse."""
        await self._get("/v1/appointments", None)

    async def _get(self, pattern: str, token: str | None, **parts: str) -> PeerAnswer:
        try:
            return await self._peer.call("GET", pattern, parts, token=token)
        except PeerUnavailableError as error:
            raise AppointmentsUnavailableError("appointments can't be asked just now") from error
