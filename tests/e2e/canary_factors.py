"""Second factors and sessions of somebody who has canaries for secrets."""

from __future__ import annotations

import base64
import hmac
import struct
import time
from collections.abc import Callable
from typing import Any

from tests.e2e.client import Client
from tests.e2e.clinic import Person
from tests.e2e.logs import Canaries


def code_of(secret: str) -> str:
    """The one-time password of now (RFC 6238: SHA-1, 6 digits, 30 seconds)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06}"


async def walk_factors(
    client: Client,
    canaries: Canaries,
    admin: Person,
    account: dict[str, Any],
    keep: Callable[[Person], Person],
    login: Callable[..., Any],
) -> None:
    """Every operation of them: refused first, then done."""
    await client.ok("POST", "/v1/auth/register", account)
    person = keep(await login(account["email"], account["password"]))
    factor = "/v1/auth/second-factor"
    token = person.token
    wrong, password = canaries.plant("a wrong code"), account["password"]
    await client.call("POST", factor, {"password": wrong}, token=token)
    new = await client.ok("POST", factor, {"password": password}, token=token)
    for name in ("secret", "uri"):
        canaries.keep(f"a second factor's {name}", new[name])
    await client.call("POST", f"{factor}/confirm", {"code": wrong}, token=token)
    confirmed = await client.ok(
        "POST", f"{factor}/confirm", {"code": code_of(new["secret"])}, token=token
    )
    codes = [canaries.keep("a recovery code", code) for code in confirmed["recovery_codes"]]
    await client.ok("GET", factor, token=token)
    signing_in = {"email": account["email"], "password": password}
    for otp in ({}, {"otp": wrong}, {"otp": codes[0]}):
        await client.call("POST", "/v1/auth/login", {**signing_in, **otp})
    renewed = await client.ok("POST", f"{factor}/recovery-codes", {"code": codes[1]}, token=token)
    codes = [canaries.keep("a recovery code", code) for code in renewed["recovery_codes"]]
    await client.call("POST", f"{factor}/remove", {"password": wrong, "code": wrong}, token=token)
    removal = {"password": password, "code": codes[0]}
    await client.ok("POST", f"{factor}/remove", removal, token=token)
    await client.ok("DELETE", f"/v1/users/{person.id}/second-factor", token=admin.token)
    await walk_passwords(client, canaries, account, token)
    policy = await client.ok("GET", f"{factor}/policy", token=admin.token)
    await client.ok("PUT", f"{factor}/policy", policy, token=admin.token)
    sessions = await client.ok("GET", "/v1/auth/sessions", token=token)
    await client.ok("DELETE", f"/v1/auth/sessions/{sessions['items'][0]['id']}", token=token)


async def walk_passwords(
    client: Client, canaries: Canaries, account: dict[str, Any], token: str
) -> None:
    """Other passwords, asked for with wrong and right ones, and tokens that nobody mailed."""
    wrong, unknown = canaries.plant("a wrong password"), canaries.plant("a mailed token")
    new = canaries.plant("a new password", "a {} password")
    asked = {"current_password": wrong, "new_password": new}
    await client.call("POST", "/v1/auth/password", asked, token=token)
    for email in (account["email"], canaries.plant("nobody's e-mail", "{}@nowhere.example")):
        await client.ok("POST", "/v1/auth/password-reset", {"email": email})
    reset = {"token": unknown, "new_password": new}
    await client.call("POST", "/v1/auth/password-reset/confirm", reset)
    await client.call("POST", "/v1/auth/register/confirm", {"token": unknown, "password": wrong})
