"""What verifying an access token costs, seen and new, beside one bare RSA-2048 verification."""

from __future__ import annotations

import asyncio
import base64
import statistics
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from jwtverify import JWTVerifier, StaticKeys
from servicekit.testing import TokenMint

ROUNDS = 7
CALLS = 1000


async def measure() -> list[dict[str, Any]]:
    """Rows of CPU time a call in µs, ours beside the bare verification of the same round."""
    mint = TokenMint()
    public = mint.private_key.public_key()
    tokens = [mint.token(f"user-{n}", "patient") for n in range(CALLS)]
    signed, _, signature = tokens[0].rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    message = signed.encode()
    seen: list[tuple[float, float, float]] = []
    for _ in range(ROUNDS):
        verifier = JWTVerifier(
            issuer=mint.issuer, audience=mint.audience, keys=StaticKeys(mint.jwks)
        )
        before = time.process_time()
        for _ in range(CALLS):
            public.verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
        bare = time.process_time() - before
        before = time.process_time()
        for token in tokens:
            await verifier.verify(token)
        new = time.process_time() - before
        copies = [token[:1] + token[1:] for token in tokens]  # as if just read from a socket
        before = time.process_time()
        for token in copies:
            await verifier.verify(token)
        seen.append((bare, new, time.process_time() - before))
    return [
        _row("a token already seen", [again / bare for bare, _, again in seen], seen, 2, 0.1),
        _row("a new token", [new / bare for bare, new, _ in seen], seen, 1, 4.0),
    ]


def _row(
    figure: str,
    ratios: list[float],
    rounds: list[tuple[float, float, float]],
    column: int,
    reach: float,
) -> dict[str, Any]:
    ratio = statistics.median(ratios)
    return {
        "figure": figure,
        "unit": "µs of CPU",
        "ours": round(statistics.median(one[column] for one in rounds) / CALLS * 1e6, 2),
        "baseline": round(statistics.median(one[0] for one in rounds) / CALLS * 1e6, 2),
        "ratio": round(ratio, 3),
        "reach": f"≤ {reach}",
        "reached": ratio <= reach,
    }


def main() -> None:
    """Print the rows."""
    for row in asyncio.run(measure()):
        print(row)


if __name__ == "__main__":
    main()
