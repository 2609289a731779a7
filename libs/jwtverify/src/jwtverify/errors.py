"""Why a token is refused, and the one case where nothing can be said about it.

No message holds any part of the token: messages end up in logs, and tokens are credentials.
"""

from typing import ClassVar


class TokenError(Exception):
    """The token is refused; the base of every such reason.

    Attributes:
        reason: A short stable word to log, count and answer with; one a subclass.
    """

    reason: ClassVar[str] = "refused"


class MalformedTokenError(TokenError):
    """It isn't a signed JWT in compact form at all (RFC 7515 section 3.1, RFC 7519 section 7.2)."""

    reason = "malformed"


class UnsupportedTokenError(TokenError):
    """Its header asks for another algorithm or type, for an extension, or names no key."""

    reason = "unsupported"


class UnknownKeyError(TokenError):
    """The key it names isn't in the published key set."""

    reason = "unknown_key"


class BadSignatureError(TokenError):
    """The key it names didn't make this signature over these bytes."""

    reason = "bad_signature"


class InvalidClaimsError(TokenError):
    """A required claim is missing, or a claim has the wrong type or an impossible value."""

    reason = "invalid_claims"


class WrongIssuerError(TokenError):
    """Somebody else issued it."""

    reason = "wrong_issuer"


class WrongAudienceError(TokenError):
    """It is meant for somebody else."""

    reason = "wrong_audience"


class ExpiredTokenError(TokenError):
    """Its `exp` is past by more than the leeway."""

    reason = "expired"


class PrematureTokenError(TokenError):
    """Its `nbf` or its `iat` is ahead by more than the leeway."""

    reason = "not_yet_valid"


class KeysUnavailable(Exception):  # noqa: N818 - not the token's fault, so no TokenError
    """No key set could be had, so nothing can be said about any token; a server answers 503."""
