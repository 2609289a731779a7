"""The event that tells who has read whose data."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from jwtverify import JWTVerifier, StaticKeys
from servicekit.app import VERIFIER, build_app
from servicekit.audit import audit_read
from servicekit.auth import people
from servicekit.ids import first_id, last_id, new_id
from servicekit.operations import Call, Operation, no_content
from servicekit.testing import TokenMint
from servicekit.wire import NoQuery, Nothing


async def read(call: Call[Nothing, NoQuery]) -> web.Response:
    """The path says whose data is read: ids with dashes between them."""
    audit_read(call, call.path["id"].split("-"))
    return no_content()


async def events_of(ids: str, caller: str, role: str) -> list[dict[str, object]]:
    mint = TokenMint()

    async def verifier(app: web.Application) -> AsyncIterator[None]:
        keys = StaticKeys(mint.jwks)
        app[VERIFIER] = JWTVerifier(issuer=mint.issuer, audience=mint.audience, keys=keys)
        yield

    operation = Operation(
        method="GET",
        path="/v1/records/{id}",
        handler=read,
        access=people(),
        summary="Test",
        answers={204: None},
    )
    app = build_app(
        service="test", version="1", operations=[operation], problems={}, contexts=[verifier]
    )
    headers = {"Authorization": f"Bearer {mint.token(caller, role)}"}
    with capture_logs() as logs:
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(f"/v1/records/{ids}", headers=headers)
            assert answer.status == 204
    return [dict(event) for event in logs if event["event"] == "audit"]


async def test_it_tells_who_what_and_of_whom() -> None:
    (event,) = await events_of("bob-ana-bob", "doc", "doctor")
    assert event == {
        "event": "audit",
        "log_level": "info",
        "action": "GET /v1/records/{id}",
        "caller": "doc",
        "role": "doctor",
        "subjects": ["ana", "bob"],
    }


async def test_what_is_one_s_own_is_no_event() -> None:
    assert await events_of("ana", "ana", "patient") == []
    (event,) = await events_of("ana-bob", "ana", "doctor")
    assert event["subjects"] == ["bob"]


def test_the_ids_of_a_span_of_time_are_between_its_bounds() -> None:
    moment = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    later = moment + timedelta(milliseconds=1)
    assert first_id(moment) <= new_id(moment) <= last_id(moment) < first_id(later)
    assert first_id(datetime(1, 1, 1, tzinfo=UTC)) == first_id(datetime(1970, 1, 1, tzinfo=UTC))
    assert last_id(later) < first_id(datetime(9999, 12, 31, tzinfo=UTC))
