"""Which passwords are too easy to guess.

NIST SP 800-63B, 5.1.1.2: length, and a comparison with what is commonly used or expected; no rules
of composition. The well-known long passwords follow a few patterns, so patterns are checked
instead of a copied list.
"""

import re
import unicodedata
from typing import Final

from users_service.domain.users import folded
from users_service.errors import WeakPasswordError

MIN_LENGTH: Final = 12  # characters
MAX_LENGTH: Final = 128

_DISTINCT: Final = 4  # fewer different characters are no password
_REPEATED_UNIT: Final = 8  # characters that, only repeated, are no password
_BEYOND_NAMES: Final = 6  # letters and digits that must be there besides the account's names
_NAME_LENGTH: Final = 3  # shorter parts of a name say nothing

# What the most used passwords begin with, before digits and signs are added to reach a length.
_COMMON: Final = frozenset(
    """
    abc abcd access account admin administrator adminadmin alexander andrea angel appointment
    asdf asdfgh asdfghjkl august austin baseball basketball batman beautiful blink bonjour
    buster butterfly changeit changeme changemenow charlie chelsea chocolate clinic computer cookie
    corvette daniel default demo diamond doctor donald dragon elizabeth ferrari flower football
    freedom friend friends ginger guest hannah harley hello helloworld hospital hunter
    iloveyou internet jennifer jessica jordan killer letmein letmeinnow liverpool login loveme
    lovely maggie master matrix merlin michael michelle mickey monkey mustang mypassword nicole
    ninja nothing orange passphrase password passwords passwort patient pepper pokemon princess
    purple qazwsx qazwsxedc qwer qwert qwerty qwertyui qwertyuiop qwertz ranger robert root samsung
    scooter secret secretpassword shadow soccer spiderman starwars summer sunshine superman
    superstar system temp temporary test tester testing thisismypassword thomas thunder tigger
    trustno trustnoone user username victoria welcome welcomehome whatever william winter
    yourpassword zaq zxcvbn zxcvbnm
    """.split()  # noqa: SIM905 - words to read, not a column of quotes
)

_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "qwertyuiopasdfghjklzxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "zaq12wsxcde34rfvbgt56yhn",
    "qazwsxedcrfvtgbyhnujm",
)
# Twice, since sequences begin anywhere and go round; backwards as well.
_SEQUENCES: Final = tuple(text for row in _ROWS for text in (row * 12, row[::-1] * 12))

_LEET: Final = str.maketrans("@4831!0$57", "aabeiiosst")


def check_password(password: str, *, email: str, full_name: str) -> None:
    """Raises WeakPasswordError, with a reason that quotes nothing, for one easy to guess."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise WeakPasswordError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    text = folded(password)
    if len(set(text)) < _DISTINCT or _is_repetition(text):
        raise WeakPasswordError("the password only repeats a few characters")
    if any(text in sequence for sequence in _SEQUENCES):
        raise WeakPasswordError("the password is a sequence of neighbouring keys or letters")
    cores = (_core(text), _core(text).translate(_LEET), _core(text.translate(_LEET)))
    if not _COMMON.isdisjoint(cores):
        raise WeakPasswordError("the password is one of the common ones")
    rest = _without_names(text, email, full_name)
    if rest != text and sum(map(str.isalnum, rest)) < _BEYOND_NAMES:
        raise WeakPasswordError("the password is little more than the account's own name")


def normalized(password: str) -> str:
    """The password as it is hashed: in one form, however a keyboard composes it (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password)


def _is_repetition(text: str) -> bool:
    return any(
        text == (text[:unit] * (len(text) // unit + 1))[: len(text)]
        for unit in range(1, min(_REPEATED_UNIT, len(text) // 2) + 1)
    )


def _core(text: str) -> str:
    """The text without what people add in front and behind: digits, signs and spaces."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


def _without_names(text: str, email: str, full_name: str) -> str:
    local, _, domain = folded(email).partition("@")
    names = {folded(email), local, domain, *re.split(r"[\W_]+", local)}
    names |= {folded(full_name), *folded(full_name).split()}
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= _NAME_LENGTH:
            text = text.replace(name, "")
    return text
