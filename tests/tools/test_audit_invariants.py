"""The ledger of a calendar day, against counting bucket by bucket."""

from hypothesis import given
from hypothesis import strategies as st

from appointments_service.domain.invariants import Calendar, Claim, Ledger, calendar_breaches
from appointments_service.store_dynamodb.items import DayState

BUCKETS = 6
masks = st.integers(0, 2**BUCKETS - 1)
claims = st.lists(
    st.builds(Claim, st.sampled_from(["a", "b", "c"]), masks, st.booleans()), max_size=4
)


@given(claims, masks, masks)
def test_each_bucket_is_judged_as_by_counting(held: list[Claim], busy: int, over: int) -> None:
    ledger = Ledger()
    ledger.state(DayState(busy, over))
    for claim in held:
        ledger.claim(claim)
    for bucket in range(BUCKETS):
        bit = 1 << bucket
        regular = sum(bool(claim.mask & bit) for claim in held if not claim.override)
        override = sum(bool(claim.mask & bit) for claim in held if claim.override)
        taken = bool(busy & bit) + bool(over & bit)
        places = min(regular, 1) + min(override, 1)
        assert bool(ledger.twice & bit) == (regular > 1 or override > 1)
        assert bool(ledger.missing & bit) == (taken < places)
        by_nobody = taken > places or (bool(over & bit) and not override)
        assert bool(ledger.unowned & bit) == by_nobody
        right = regular < 2 and override < 2 and taken == places and not by_nobody
        assert right == ((ledger.twice | ledger.missing | ledger.unowned) & bit == 0)
    breaches = calendar_breaches(Calendar("doctor", "d", 0), DayState(busy, over), held)
    assert ledger.balances == (breaches == [])


@given(st.permutations([Claim("a", 0b0011, False), Claim("b", 0b1100, False)]))
def test_neighbours_are_no_overlap_and_order_means_nothing(held: list[Claim]) -> None:
    calendar = Calendar("patient", "p", 20_515)
    assert calendar_breaches(calendar, DayState(0b1111, 0), held) == []
    assert str(calendar) == "patient p, 2026-03-03 UTC"
    wide = [*held, Claim("c", 0b0110, False)]
    [breach] = calendar_breaches(calendar, DayState(0b1111, 0), wide)
    assert (breach.invariant, breach.what) == (1, "00:05–00:15 is held by a and b and c")
