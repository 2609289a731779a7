"""The pure rules."""

import string
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users_service.domain.keys import SigningKey, published_keys, signing_key
from users_service.domain.passwords import check_password, normalized
from users_service.domain.sessions import (
    ATTEMPTS_WINDOW,
    Failure,
    blocked_for,
    refresh_token,
)
from users_service.domain.users import (
    check_birth_date,
    check_email,
    check_line,
    email_key,
    folded,
    specialty_key,
)
from users_service.errors import InvalidFieldError, WeakPasswordError

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(texts)
def test_folding_again_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(texts)
def test_case_makes_no_difference(text: str) -> None:
    assert folded(text.swapcase().casefold()) == folded(text.casefold())


@given(texts)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        assert check_email(text) == text
    except ValueError:
        return
    key = email_key(text)
    assert len(key) <= 254
    assert key.count("@") == 1


@pytest.mark.parametrize(
    "email",
    [
        "a@b.example",
        "Ana.Silva+clinic@Mail.Example.org",
        "ana@xn--bcher-kva.example",
        "ána@bücher.example",
        f"{'a' * 64}@b.example",
        f"a@{'b' * 63}.example",
        "o'neil@b.example",
    ],
)
def test_addresses(email: str) -> None:
    assert check_email(email) == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@",
        "a@",
        "@b.example",
        "a@b",
        "a@b@c.example",
        "a@b..example",
        "a@.example",
        "a@b.example.",
        "a@-b.example",
        "a@b-.example",
        "a@b_c.example",
        f"a@{'b' * 64}.example",
        f"{'a' * 65}@b.example",
        f"{'a' * 60}@{'b.' * 100}example",
        "a b@c.example",
        "a@b.example ",
        "a\u00a0b@c.example",
        "a\x00@b.example",
        "a\n@b.example",
        "a\u200b@b.example",
        "a＠b@c.example",  # folded, it has two
        "ﷺ" * 60 + "@b.example",  # folded, it is too long
    ],
)
def test_no_addresses(email: str) -> None:
    with pytest.raises(ValueError):
        check_email(email)


def test_letters_with_and_without_accent_are_two() -> None:
    assert email_key("ana@b.example") != email_key("ána@b.example")
    assert email_key("A\u0301na@b.example") == email_key("\u00e1NA@b.example")


def test_specialties_differ_in_more_than_case() -> None:
    assert specialty_key("Cardiology") == specialty_key("CARDIOLOGY")
    assert specialty_key("Cardiology ") != specialty_key("Cardiology")
    assert len(specialty_key("ﷺ" * 100)) == 64


@pytest.mark.parametrize("text", ["", " ", "\u3000", "a\nb", "a\x00", "\x7f"])
def test_what_is_no_line(text: str) -> None:
    with pytest.raises(ValueError):
        check_line(text)


def test_birth_dates() -> None:
    late = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    check_birth_date(None, late)
    check_birth_date(date(1900, 1, 1), late)
    check_birth_date(date(2026, 3, 3), late)  # it has begun in the east
    for outside in (date(1899, 12, 31), date(2026, 3, 4), date.min, date.max):
        with pytest.raises(InvalidFieldError):
            check_birth_date(outside, late)


GOOD_PASSWORDS = [
    "a phrase long enough",
    "correct horse battery staple",
    "hunter2 eats 9 apples",
    "Tr0ub4dor&3-and-more",
    "密码是一个很长的句子吧对吗",
    "🌻🌼🌷🌹🥀🌺🌸💐🌾🌿🍀🍁",
    "ana.silva walks to the sea",
    "x7Kq9mPz2LwV",
    "the quick brown fox",
    "a" * 10 + "bcdefgh",
    "x7Kq9mPz2LwV" * 10 + "12345678",  # 128
]
BAD_PASSWORDS = [
    "x7Kq9mPz2Lw",  # eleven
    "x7Kq9mPz2LwV" * 10 + "123456789",  # 129
    "aaaaaaaaaaaa",
    "abababababab",
    "abcabcabcabc",
    "passwordpassword",
    "hunter2hunter2",
    "123456789012",
    "098765432109",
    "abcdefghijkl",
    "ZYXWVUTSRQPO",
    "qwertyuiopas",
    "1qaz2wsx3edc",
    "q1w2e3r4t5y6",
    "password1234",
    "Password123!",
    "P@ssw0rd2026",
    "!!!Welcome2026!!!",
    "letmein12345",
    "iloveyou1234",
    "administrator",
    "appointment1",  # of this service's own words
    "Hospital2026",
    "qwerty123456",
    "ana.silva@clinic.example",
    "ana.silva2026",
    "Ana Silva 123",
    "silva-ana-1990",
    "clinic.example1",
]


@pytest.mark.parametrize("password", GOOD_PASSWORDS)
def test_good_passwords(password: str) -> None:
    check_password(password, email="ana.silva@clinic.example", full_name="Ana Silva")


@pytest.mark.parametrize("password", BAD_PASSWORDS)
def test_weak_passwords(password: str) -> None:
    with pytest.raises(WeakPasswordError) as refusal:
        check_password(password, email="ana.silva@clinic.example", full_name="Ana Silva")
    assert password not in str(refusal.value)


@given(st.text(string.ascii_letters + string.digits, min_size=20, max_size=128))
def test_a_password_is_refused_in_every_case_or_in_none(password: str) -> None:
    def is_weak(text: str) -> bool:
        try:
            check_password(text, email="a@b.example", full_name="A")
        except WeakPasswordError:
            return True
        return False

    assert is_weak(password) == is_weak(password.swapcase())


@given(texts, texts, texts)
def test_any_text_can_be_judged_as_a_password(text: str, email: str, name: str) -> None:
    try:
        check_password(text, email=email, full_name=name)
    except WeakPasswordError:
        return
    assert 12 <= len(text) <= 128


def test_one_password_however_it_is_composed() -> None:
    assert normalized("cafe\u0301") == normalized("caf\u00e9")
    assert normalized("ﬁ") != normalized("fi")


def failures(*seconds_ago: float, digest: str = "d") -> list[Failure]:
    return [Failure(digest, NOW - SECOND * ago) for ago in sorted(seconds_ago)]


def test_ten_failures_of_an_email_block_it() -> None:
    assert blocked_for(failures(*range(9)), "d", NOW) is None
    assert blocked_for(failures(*range(10)), "d", NOW) == 900 - 9
    assert blocked_for(failures(*range(10)), "e", NOW) is None
    # It ends when the tenth newest leaves the window, however many are older.
    assert blocked_for(failures(*range(100, 130)), "d", NOW) == 900 - 109
    assert blocked_for(failures(*[1] * 9, 900), "d", NOW) is None
    assert blocked_for(failures(*[1] * 9, 899.5), "d", NOW) == 1


def test_a_hundred_failures_of_an_address_block_all_emails() -> None:
    others = [Failure(str(n), NOW - SECOND * n) for n in range(100)]
    assert blocked_for(others[:99], "d", NOW) is None
    assert blocked_for(others, "d", NOW) == 900 - 99


def test_one_beyond_the_limit_may_be_asked_for() -> None:
    assert blocked_for(failures(*range(10)), "d", NOW, beyond=1) is None
    assert blocked_for(failures(*range(11)), "d", NOW, beyond=1) == 900 - 9


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1200_000)), max_size=130).map(
        lambda rows: [Failure(d, NOW - timedelta(milliseconds=ago)) for d, ago in rows]
    ),
)
def test_the_wait_is_over_exactly_when_it_says(unordered: list[Failure]) -> None:
    newest_first = sorted(unordered, key=lambda failure: failure.at, reverse=True)
    seconds = blocked_for(newest_first, "a", NOW)
    if seconds is None:
        return
    assert 1 <= seconds <= ATTEMPTS_WINDOW.total_seconds()
    assert blocked_for(newest_first, "a", NOW + SECOND * seconds) is None
    assert blocked_for(newest_first, "a", NOW + SECOND * (seconds - 1)) is not None


@given(st.binary(min_size=32, max_size=32), st.text(max_size=26), st.integers(1, 10**9))
def test_refresh_tokens_are_all_different(key: bytes, family: str, number: int) -> None:
    token = refresh_token(key, family, number)
    assert len(token) == 43
    assert token == refresh_token(key, family, number)
    assert token != refresh_token(key, family, number + 1)
    assert token != refresh_token(bytes(32 * [1]), family, number) or key == bytes(32 * [1])


def signing(generation: int, signs_from: datetime) -> SigningKey:
    return SigningKey(generation, f"k{generation}", "", "", signs_from)


def test_keys_follow_each_other() -> None:
    old, new = signing(1, NOW), signing(2, NOW + timedelta(minutes=5))
    assert signing_key([], NOW) is None
    assert signing_key([old, new], NOW) == old
    assert signing_key([new, old], NOW + timedelta(minutes=5)) == new
    # The new one is published before it signs, the old one as long as its tokens are good.
    assert published_keys([new, old], NOW) == [old, new]
    assert published_keys([old, new], NOW + timedelta(minutes=21, seconds=45)) == [old, new]
    assert published_keys([old, new], NOW + timedelta(minutes=21, seconds=46)) == [new]
    assert published_keys([replace(new, generation=1)], NOW - timedelta(days=1)) != []
