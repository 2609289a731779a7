"""Who did what: what is recorded of it, and what is not done where it can't be."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import text

from servicekit.ids import new_id
from servicekit.testing import FakeClock
from tests.users.api import PASSWORD, Api, Person
from tests.users.conftest import settings_for
from tests.users.test_clients import claims_at, pem, service_token
from tests.users.test_second_factors import FACTOR, begun, login
from tests.users.test_store import make, noted
from users_service.app import open_use_cases
from users_service.domain.audit import SYSTEM, Action, Entry, Origin, Outcome
from users_service.service import UseCases
from users_service.settings import UsersSettings
from users_service.store import AuditFilter
from users_service.store_mysql import MySQLStore
from users_service.store_mysql.audit import blank_addresses

SQLITE_ONLY = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Ticking(FakeClock):
    """A millisecond passes whenever anybody looks: ids of one moment have no order."""

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return Ticking()


@pytest.fixture
async def use_cases(
    settings: UsersSettings, store: MySQLStore, clock: FakeClock
) -> AsyncIterator[UseCases]:
    async with open_use_cases(settings, store, clock) as opened:
        yield opened


async def entries(api: Api, by: Person, query: str = "") -> list[Any]:
    page = await api.ok("GET", f"/v1/users/audit?limit=200{query}", by=by)
    found: list[Any] = page["items"]
    return found


async def newest(api: Api, by: Person, action: str) -> Any:
    return (await entries(api, by, f"&action={action}"))[0]


def entry(clock: FakeClock, **changes: Any) -> Entry:
    now = clock()
    values = {"action": Action.SIGN_IN, "outcome": Outcome.DONE, "origin": SYSTEM, **changes}
    return Entry(new_id(now), now, **values)


async def test_signing_in_and_out(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    made = await newest(api, admin, "account_made")
    assert (made["actor_id"], made["subject_id"], made["details"]) == (None, ana.id, "role=patient")
    await api.login(ana.email, "a wrong password", address="198.51.100.7")
    await api.login("nobody@example.org", "a wrong password")
    unknown, failed, signed_in = (await entries(api, admin, "&action=sign_in"))[:3]
    assert (unknown["outcome"], unknown["subject_id"]) == ("refused", None)
    assert (failed["outcome"], failed["subject_id"]) == ("refused", ana.id)
    assert (failed["actor_id"], failed["address"]) == (None, "198.51.100.7")
    assert (signed_in["outcome"], signed_in["actor_id"]) == ("done", ana.id)
    assert (signed_in["actor_role"], signed_in["address"]) == ("patient", "192.0.2.1")
    for _ in range(2):  # the second ends nothing
        await api.ok("POST", "/v1/auth/logout", {"refresh_token": ana.refresh})
    await api.ok("POST", "/v1/auth/logout", {"refresh_token": "unknown"})
    (signed_out,) = await entries(api, admin, "&action=sign_out")
    assert (signed_out["actor_id"], signed_out["subject_id"]) == (ana.id, ana.id)


async def test_a_refresh_token_that_is_used_again(api: Api, clock: FakeClock) -> None:
    admin, ana = await api.admin(), await api.patient()
    body = {"refresh_token": ana.refresh}
    await api.ok("POST", "/v1/auth/refresh", body)
    assert await entries(api, admin, "&action=refresh_reused") == []
    clock.advance(timedelta(seconds=11))
    await api.refused(401, "invalid_refresh_token", "POST", "/v1/auth/refresh", body)
    (reused,) = await entries(api, admin, "&action=refresh_reused")
    assert (reused["actor_id"], reused["subject_id"]) == (None, ana.id)
    assert reused["outcome"] == "refused"


async def test_changes_tell_which_fields_and_no_value_that_anybody_wrote(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    target = f"/v1/users/{ana.id}"
    await api.ok("PATCH", "/v1/users/me", {"full_name": "Ana Maria", "phone": "123"}, by=ana)
    own = await newest(api, admin, "account_changed")
    assert (own["actor_id"], own["subject_id"], own["details"]) == (
        ana.id,
        ana.id,
        "full_name phone",
    )
    answer = await api.call("PATCH", target, {"role": "doctor", "status": "disabled"}, by=admin)
    changed = await newest(api, admin, "account_changed")
    assert (changed["actor_id"], changed["actor_role"]) == (admin.id, "admin")
    assert changed["details"] == "role=doctor status=disabled"
    assert changed["request_id"] == answer.headers["X-Request-Id"]
    for refused in (
        api.call("PATCH", target, {"role": "doctor"}, by=admin),  # changes nothing
        api.call("PATCH", target, {"role": "admin"}, by=ana),
        api.call("PATCH", target, {"role": "admin"}, by=admin, headers={"If-Match": '"1"'}),
    ):
        await refused
    assert len(await entries(api, admin, "&action=account_changed")) == 2
    assert "Maria" not in str(await entries(api, admin))


async def test_a_description_is_recorded_when_another_gives_it(api: Api) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin)
    body = {"specialty": "cardiology", "bio": "Hearts.", "accepting_patients": True}
    await api.ok("PUT", f"/v1/doctors/{bob.id}", body, by=bob)
    assert await entries(api, admin, "&action=doctor_described") == []
    await api.ok("PUT", f"/v1/doctors/{bob.id}", {**body, "bio": "All hearts."}, by=admin)
    (described,) = await entries(api, admin, "&action=doctor_described")
    assert (described["actor_id"], described["subject_id"]) == (admin.id, bob.id)


async def test_reads_of_another_s_data_are_recorded_and_one_s_own_are_not(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    bob = await api.staff("doctor", by=admin)
    before = len(await entries(api, admin))
    for path in ("/v1/users/me", f"/v1/users/{ana.id}"):
        await api.ok("GET", path, by=ana)
    await api.refused(404, "not_found", "GET", f"/v1/users/{bob.id}", by=ana)
    assert len(await entries(api, admin)) == before + 1  # that the log was read
    await api.ok("GET", f"/v1/users/{ana.id}", by=bob)
    await api.ok("GET", f"/v1/users/{ana.id}", by=admin)
    await api.ok("GET", "/v1/users?q=silva&role=patient", by=admin)
    listed, read, named = (await entries(api, admin))[:3]
    assert (named["action"], named["actor_id"], named["subject_id"]) == (
        "name_read",
        bob.id,
        ana.id,
    )
    assert (read["action"], read["actor_id"], read["subject_id"]) == (
        *("account_read", admin.id, ana.id),
    )
    assert (listed["action"], listed["details"]) == ("accounts_listed", "q role")
    audited = await newest(api, admin, "audit_listed")
    assert audited["actor_id"] == admin.id


async def test_services_are_recorded(api: Api, clock: FakeClock, use_cases: UseCases) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    await use_cases.clients.register(
        "reminders", frozenset({"contact:read", "names:read"}), pem(key)
    )
    ana, admin = await api.patient(), await api.admin()
    token = await service_token(api, clock, key, "reminders")
    for part in ("contact", "name"):
        await api.ok("GET", f"/v1/users/{ana.id}/{part}", by=token)
    assertion = jwt.encode(claims_at(clock, iss="reminders", sub="reminders"), key, "RS256")
    for _ in range(2):  # the second is used already
        await api.call("POST", "/v1/auth/service-token", {"client_assertion": assertion})
    tokens = await entries(api, admin, "&actor_id=reminders&action=service_token")
    assert [one["details"] for one in tokens] == ["contact:read names:read"] * 2
    reads = await entries(api, admin, f"&actor_id=reminders&subject_id={ana.id}")
    assert [one["action"] for one in reads] == ["name_read", "contact_read"]
    assert {one["actor_role"] for one in reads} == {"service"}
    registered = await newest(api, admin, "service_registered")
    assert (registered["actor_role"], registered["subject_id"]) == ("system", "reminders")


@SQLITE_ONLY
async def test_what_can_not_be_recorded_is_neither_shown_nor_done(
    api: Api, store: MySQLStore
) -> None:
    admin, ana = await api.admin(), await api.patient()
    await store._database.execute(text("DROP TABLE audit_log"))
    body = {"email": ana.email, "password": "a wrong password"}
    target = f"/v1/users/{ana.id}"
    for method, path, sent in (
        ("GET", target, None),
        ("GET", "/v1/users", None),
        ("GET", "/v1/users/audit", None),
        ("PATCH", target, {"status": "disabled"}),
        ("POST", "/v1/auth/login", body),
        ("POST", "/v1/auth/login", {**body, "password": PASSWORD}),
    ):
        await api.refused(503, "store_unavailable", method, path, sent, by=admin)
    account = await api.ok("GET", "/v1/users/me", by=ana)
    assert (account["status"], account["version"]) == ("active", 1)
    assert await store.failures("127.0.0.1", FakeClock().now, 10) == []


async def test_the_list_goes_back_in_pages_and_by_each_filter(api: Api, clock: FakeClock) -> None:
    admin, ana = await api.admin(), await api.patient()
    clock.advance(timedelta(minutes=1))
    start = clock().isoformat().replace("+00:00", "Z")
    await api.sign_in(ana.email)
    clock.advance(timedelta(minutes=1))
    end = clock().isoformat().replace("+00:00", "Z")
    await api.sign_in(ana.email)
    (between,) = await entries(api, admin, f"&from={start}&to={end}")
    assert between["action"] == "sign_in"
    assert start < between["at"] < end
    assert len(await entries(api, admin, f"&from={end}&actor_id={ana.id}")) == 1
    # A span may begin before anything was made, and end after all that can be.
    everything = "&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999Z"
    assert len(await entries(api, admin, f"{everything}&subject_id={ana.id}")) == 4
    query, found = f"actor_id={ana.id}&limit=1", []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.ok("GET", f"/v1/users/audit?{query}{cursor}", by=admin)
        found += page["items"]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    assert found == await entries(api, admin, f"&actor_id={ana.id}")
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)


async def test_only_admins_read_it_and_only_what_it_has(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    bob = await api.staff("doctor", by=admin)
    for person in (ana, bob):
        await api.refused(403, "forbidden", "GET", "/v1/users/audit", by=person)
    await api.refused(401, "invalid_token", "GET", "/v1/users/audit")
    for query in ("action=unknown", "from=yesterday", "limit=0", f"actor_id={'x' * 81}"):
        target = f"/v1/users/audit?{query}"
        await api.refused(422, "validation_failed", "GET", target, by=admin)
    await api.refused(422, "bad_cursor", "GET", "/v1/users/audit?cursor=x", by=admin)


async def test_entries_go_when_their_time_is_over_and_not_before(
    database_url: str, store: MySQLStore, clock: FakeClock
) -> None:
    start = clock.now
    alone = AuditFilter(action=Action.SIGN_IN)
    await store.add_entry(entry(clock))
    for days, kept, left in ((29, 30, 1), (31, 0, 1), (31, 30, 0)):
        clock.now = start + timedelta(days=days)
        settings = settings_for(database_url, audit_days=kept)
        async with open_use_cases(settings, store, clock) as use_cases:
            assert (await use_cases.audit.forget() > 0) == (left == 0)
        assert len(await store.entries(alone, "", 10)) == left


async def test_the_addresses_go_with_the_account_and_the_entries_stay(
    store: MySQLStore, clock: FakeClock
) -> None:
    origin = Origin(None, None, "192.0.2.1", "request")
    told = {
        "own": entry(clock, origin=origin.acting_as("ana", "patient"), subject_id="ana"),
        "failed": entry(clock, origin=origin, subject_id="ana"),
        "of another": entry(clock, origin=origin.acting_as("admin", "admin"), subject_id="ana"),
        "unrelated": entry(clock, origin=origin, subject_id="bob"),
    }
    for one in told.values():
        await store.add_entry(one)
    await store._database.transaction(lambda connection: blank_addresses(connection, "ana"))
    sign_ins = AuditFilter(action=Action.SIGN_IN)
    kept = {one.id: one for one in await store.entries(sign_ins, "", 10)}
    assert kept.keys() == {one.id for one in told.values()}
    addresses = {name: kept[one.id].origin.address for name, one in told.items()}
    here = "192.0.2.1"
    assert addresses == {"own": None, "failed": None, "of another": here, "unrelated": here}
    assert kept[told["own"].id].origin.actor_id == "ana"


@pytest.mark.parametrize("details", ["Ana Silva", "a@b.example", "x" * 256, "name='x'"])
def test_details_are_fixed_words(clock: FakeClock, details: str) -> None:
    with pytest.raises(ValueError, match="fixed words"):
        entry(clock, details=details)


async def test_a_newer_version_s_entries_can_be_read(store: MySQLStore, clock: FakeClock) -> None:
    await store.add_entry(entry(clock, action="something_new"))
    (found,) = await store.entries(AuditFilter(), "", 1)
    assert found.action == "something_new"


async def test_a_change_that_lost_leaves_no_entry(store: MySQLStore, clock: FakeClock) -> None:
    user = make(clock)
    made = noted(clock)
    await store.add_user(user, "", made)
    newer = make(clock, id=user.id, version=2)
    assert not await store.change_user(newer, newer, entry(clock))
    assert await store.entries(AuditFilter(action=Action.SIGN_IN), "", 2) == [made]


async def test_codes_shown_and_codes_guessed_are_recorded(api: Api, clock: FakeClock) -> None:
    admin, ana = await api.admin(), await api.patient()
    device = await begun(api, ana, clock)
    wrong = {"code": device.wrong(), "password": PASSWORD}
    confirm = f"{FACTOR}/confirm"
    await api.refused(422, "wrong_code", "POST", confirm, {"code": device.wrong()}, by=ana)
    right = {"code": device.code()}
    codes = (await api.ok("POST", confirm, right, by=ana))["recovery_codes"]
    await api.refused(422, "wrong_code", "POST", f"{FACTOR}/remove", wrong, by=ana)
    path, body = f"{FACTOR}/recovery-codes", {"code": device.wrong()}
    await api.refused(422, "wrong_code", "POST", path, body, by=ana)
    for action in ("second_factor_set", "second_factor_removed", "recovery_codes_made"):
        refused = [
            one
            for one in await entries(api, admin, f"&action={action}")
            if one["outcome"] == "refused"
        ]
        assert [(one["actor_id"], one["subject_id"]) for one in refused] == [(ana.id, ana.id)]
    for code, word in ((device.next(), "second_factor"), (codes[0], "recovery_code")):
        assert (await login(api, ana.email, code)).status == 200
        assert (await newest(api, admin, "sign_in"))["details"] == word
