"""The example of the library's README does what it says."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

import jwtverify
from tests.jwtverify.key_server import KeyServer
from tests.jwtverify.minting import Issuer

README = Path(__file__).resolve().parents[2] / "libs" / "jwtverify" / "README.md"


@pytest.fixture
def example() -> dict[str, Any]:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - it is our own page
    return names


async def test_the_example_runs(
    example: dict[str, Any], server: KeyServer, issuer: Issuer, stranger: Issuer
) -> None:
    main = example["main"]
    now = int(time.time())  # the example has no clock to set
    good = issuer.token(iat=now, exp=now + 900)
    assert (await main(server.url, good)).subject == "user-1"
    assert await main(server.url, stranger.token()) == "401, because it is bad_signature"
    server.answer(b"", 500)
    assert (await main(server.url, good)).startswith("503")


def test_every_reason_is_listed() -> None:
    text = README.read_text()
    refusals = jwtverify.TokenError.__subclasses__()
    assert len({refusal.reason for refusal in refusals}) == len(refusals) == 9
    for refusal in refusals:
        assert f"`{refusal.__name__}`" in text
        assert f"`{refusal.reason}`" in text
        assert refusal.__name__ in jwtverify.__all__
