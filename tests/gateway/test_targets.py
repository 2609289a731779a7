from collections import Counter

import pytest

from gateway.errors import RefusedError
from gateway.targets import Address, Algorithm, Target, TargetGroup, TargetState, Thresholds


def make_target(port: int = 4001, state: TargetState = TargetState.HEALTHY) -> Target:
    target = Target(
        f"http://127.0.0.1:{port}",
        thresholds=Thresholds(healthy=5, unhealthy=2),
        idle_seconds=60,
        connect_seconds=10,
    )
    target.state = state
    return target


def make_group(*states: TargetState, algorithm: Algorithm = "round_robin") -> TargetGroup:
    group = TargetGroup("users", algorithm)
    group.targets = [make_target(4001 + number, state) for number, state in enumerate(states)]
    return group


def states_after(target: Target, checks: str) -> list[str]:
    """Record a check a character, `+` passed and `-` failed."""
    states = []
    for check in checks:
        target.record(passed=check == "+")
        states.append(str(target.state)[0])
    return states


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ("+", "h"),
        ("-+", "ih"),
        ("--", "iu"),
        ("--++++", "iuuuuu"),
        ("--+++++", "iuuuuuh"),
        ("--++++-+++++", "iuuuuuuuuuuh"),
        ("+-", "hh"),
        ("+--", "hhu"),
        ("+-+-+-", "hhhhhh"),
    ],
)
async def test_health_follows_the_thresholds(checks: str, expected: str) -> None:
    assert states_after(make_target(state=TargetState.INITIAL), checks) == list(expected)


async def test_a_draining_target_stays_draining() -> None:
    assert states_after(make_target(state=TargetState.DRAINING), "+--") == ["d", "d", "d"]


async def test_round_robin_takes_healthy_targets_in_turn() -> None:
    group = make_group(TargetState.HEALTHY, TargetState.UNHEALTHY, TargetState.HEALTHY)
    chosen = Counter(group.choose() for _ in range(10))
    assert chosen == {group.targets[0]: 5, group.targets[2]: 5}


@pytest.mark.parametrize("state", [TargetState.UNHEALTHY, TargetState.INITIAL])
async def test_fails_open_where_no_target_is_healthy(state: TargetState) -> None:
    group = make_group(TargetState.UNHEALTHY, state)
    assert Counter(group.choose() for _ in range(10)) == dict.fromkeys(group.targets, 5)


async def test_no_target_is_503() -> None:
    with pytest.raises(RefusedError) as refused:
        make_group().choose()
    assert refused.value.status == 503


@pytest.mark.parametrize(
    ("failed", "status"),
    [([502, 502], 502), ([504, 504], 504), ([502, 504], 504), ([504, 502], 504)],
)
async def test_none_left_is_504_where_one_timed_out_and_else_502(
    failed: list[int], status: int
) -> None:
    group = make_group(TargetState.HEALTHY, TargetState.HEALTHY)
    first, second = group.targets
    assert group.choose({first: failed[0]}) is second
    with pytest.raises(RefusedError) as refused:
        group.choose({first: failed[0], second: failed[1]})
    assert refused.value.status == status


async def test_least_outstanding_requests() -> None:
    group = make_group(*[TargetState.HEALTHY] * 3, algorithm="least_outstanding_requests")
    for target, outstanding in zip(group.targets, (3, 1, 2), strict=True):
        target.outstanding = outstanding
    assert [group.choose() for _ in range(4)] == [group.targets[1]] * 4


async def test_least_outstanding_requests_takes_equals_in_turn() -> None:
    group = make_group(*[TargetState.HEALTHY] * 3, algorithm="least_outstanding_requests")
    assert Counter(group.choose() for _ in range(9)) == dict.fromkeys(group.targets, 3)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:1/path",
        "http://u@127.0.0.1:1",
        "http://127.0.0.1:1?q",
        "http://127.0.0.1:99999",
        "127.0.0.1:1",
        "",
    ],
)
def test_a_target_is_an_http_host_and_port(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:port|Port out of range"):
        Address.parse(url)


def test_an_address_of_ipv6() -> None:
    assert Address.parse("http://[::1]:80").netloc == "[::1]:80"
