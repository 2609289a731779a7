"""The doctors' directory, over HTTP."""

from typing import Any

import pytest

from tests.users.api import Api

DESCRIPTION = {"specialty": "Cardiology", "bio": "Hearts,\nsince 2001.", "accepting_patients": True}


async def ids(api: Api, query: str = "") -> list[str]:
    page = await api.ok("GET", f"/v1/doctors{query}")
    return [item["id"] for item in page["items"]]


async def test_a_new_doctor_has_a_page(api: Api) -> None:
    admin = await api.admin()
    bob = await api.staff("doctor", by=admin, full_name="Bob", timezone="Europe/Lisbon")
    response = await api.call("GET", f"/v1/doctors/{bob.id}")
    page = {
        "id": bob.id,
        "full_name": "Bob",
        "specialty": "",
        "bio": "",
        "timezone": "Europe/Lisbon",
        "accepting_patients": True,
        "version": 1,
    }
    assert await response.json() == page
    assert response.headers["ETag"] == '"1"'
    assert await api.ok("GET", "/v1/doctors") == {"items": [page], "next_cursor": None}


async def test_doctors_and_admins_describe_them(api: Api) -> None:
    admin = await api.admin()
    bob, zoe = await api.staff("doctor", by=admin), await api.staff("doctor", by=admin)
    ana = await api.patient()
    path = f"/v1/doctors/{bob.id}"
    doctor = await api.ok("PUT", path, DESCRIPTION, by=bob)
    assert {key: doctor[key] for key in DESCRIPTION} == DESCRIPTION
    assert doctor["version"] == 2
    assert await api.ok("GET", path) == doctor
    assert await api.ok("PUT", path, DESCRIPTION, by=admin) == doctor
    for other in (zoe, ana):
        await api.refused(403, "forbidden", "PUT", path, DESCRIPTION, by=other)
    for nobody in (ana.id, admin.id, "0" * 26):
        await api.refused(404, "not_found", "PUT", f"/v1/doctors/{nobody}", DESCRIPTION, by=admin)
        await api.refused(404, "not_found", "GET", f"/v1/doctors/{nobody}")


@pytest.mark.parametrize(
    "change",
    [
        {"specialty": ""},
        {"specialty": "x" * 101},
        {"specialty": None},
        {"bio": "x" * 4001},
        {"bio": None},
        {"accepting_patients": "yes"},
        {"accepting_patients": 1},
        {"full_name": "X"},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_description_out_of_bounds_is_refused(api: Api, change: dict[str, Any]) -> None:
    bob = await api.staff("doctor", by=await api.admin())
    body = {**DESCRIPTION, **change}
    await api.refused(422, "validation_failed", "PUT", f"/v1/doctors/{bob.id}", body, by=bob)


async def test_if_match_guards_a_description(api: Api) -> None:
    bob = await api.staff("doctor", by=await api.admin())
    path, first = f"/v1/doctors/{bob.id}", {"If-Match": '"1"'}
    await api.ok("PUT", path, DESCRIPTION, by=bob, headers=first)
    await api.refused(412, "version_mismatch", "PUT", path, DESCRIPTION, by=bob, headers=first)


async def test_a_change_of_the_account_is_one_of_the_page(api: Api) -> None:
    bob = await api.staff("doctor", by=await api.admin(), full_name="Bob")
    await api.ok("PATCH", "/v1/users/me", {"phone": "12345"}, by=bob)
    assert (await api.ok("GET", f"/v1/doctors/{bob.id}"))["version"] == 1
    await api.ok("PATCH", "/v1/users/me", {"full_name": "Dr. Bob"}, by=bob)
    page = await api.ok("GET", f"/v1/doctors/{bob.id}")
    assert (page["full_name"], page["version"]) == ("Dr. Bob", 2)


async def test_a_page_comes_and_goes_with_the_role(api: Api) -> None:
    admin, ana = await api.admin(), await api.patient()
    path = f"/v1/users/{ana.id}"
    await api.refused(404, "not_found", "GET", f"/v1/doctors/{ana.id}")
    await api.ok("PATCH", path, {"role": "doctor"}, by=admin)
    await api.ok("PUT", f"/v1/doctors/{ana.id}", DESCRIPTION, by=admin)
    assert await ids(api) == [ana.id]
    await api.ok("PATCH", path, {"role": "patient"}, by=admin)
    assert await ids(api) == []
    await api.refused(404, "not_found", "GET", f"/v1/doctors/{ana.id}")
    await api.ok("PATCH", path, {"role": "doctor"}, by=admin)
    assert (await api.ok("GET", f"/v1/doctors/{ana.id}"))["specialty"] == "Cardiology"


async def test_a_disabled_doctor_is_only_the_admins_to_see(api: Api) -> None:
    admin = await api.admin()
    bob, zoe = await api.staff("doctor", by=admin), await api.staff("doctor", by=admin)
    await api.ok("PATCH", f"/v1/users/{bob.id}", {"status": "disabled"}, by=admin)
    path = f"/v1/doctors/{bob.id}"
    assert await ids(api) == [zoe.id]
    await api.refused(404, "not_found", "GET", path)
    await api.refused(404, "not_found", "PUT", path, DESCRIPTION, by=zoe)
    await api.ok("PUT", path, DESCRIPTION, by=admin)


async def test_doctors_are_found_by_specialty_and_name(api: Api) -> None:
    admin = await api.admin()
    doctors = {}
    for name, specialty in (
        ("Inês Costa", "Cardiology"),
        ("Bob", "CARDIOLOGY"),
        ("Costanza", "Straße"),
    ):
        doctor = await api.staff("doctor", by=admin, full_name=name)
        body = {**DESCRIPTION, "specialty": specialty}
        await api.ok("PUT", f"/v1/doctors/{doctor.id}", body, by=doctor)
        doctors[name] = doctor.id
    ines, bob, costanza = doctors.values()
    assert await ids(api, "?specialty=cardiology") == sorted([ines, bob])
    assert await ids(api, "?specialty=cardio") == []
    assert await ids(api, "?specialty=cardiology%20") == []
    assert await ids(api, "?specialty=STRASSE") == [costanza]
    assert await ids(api, "?specialty=&q=") == sorted(doctors.values())
    assert await ids(api, "?q=COSTA") == sorted([ines, costanza])
    assert await ids(api, "?q=in%C3%AAs&specialty=Cardiology") == [ines]
    assert await ids(api, "?q=ines") == []


async def test_the_directory_is_paged(api: Api) -> None:
    admin = await api.admin()
    doctors = [(await api.staff("doctor", by=admin)).id for _ in range(3)]
    first = await api.ok("GET", "/v1/doctors?limit=2")
    rest = await api.ok("GET", f"/v1/doctors?limit=2&cursor={first['next_cursor']}")
    assert [d["id"] for d in first["items"] + rest["items"]] == sorted(doctors)
    assert rest["next_cursor"] is None
