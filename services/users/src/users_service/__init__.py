"""Identity: accounts, sign-in, tokens and their keys, the doctors' directory."""

__version__ = "0.1.0"
