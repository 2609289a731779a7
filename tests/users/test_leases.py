"""What others were told of a doctor they may rely on, until the lease has lapsed."""

from tests.users.api import Api

TAKES = {"specialty": "Cardiology", "bio": "", "accepting_patients": True}


async def test_a_doctor_is_told_with_a_lease(api: Api) -> None:
    bob = await api.staff("doctor", by=await api.admin())
    answer = await api.call("GET", f"/v1/doctors/{bob.id}")
    assert answer.headers["Cache-Control"] == "private, max-age=1"


async def test_only_a_change_of_who_can_be_booked_waits_for_the_leases(
    api: Api, waits: list[float]
) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin)
    page, account = f"/v1/doctors/{bob.id}", f"/v1/users/{bob.id}"

    async def waited(method: str, path: str, body: object) -> bool:
        waits.clear()
        await api.ok(method, path, body, by=admin)
        return waits == [1]

    assert not await waited("PUT", page, TAKES)
    assert await waited("PUT", page, {**TAKES, "accepting_patients": False})
    assert not await waited("PUT", page, {**TAKES, "accepting_patients": False, "bio": "Away."})
    assert await waited("PUT", page, TAKES)
    assert not await waited("PATCH", account, {"full_name": "Dr. Robert"})
    assert await waited("PATCH", account, {"status": "disabled"})
    assert not await waited("PATCH", account, {"status": "active"})
    assert await waited("PATCH", account, {"role": "patient"})
