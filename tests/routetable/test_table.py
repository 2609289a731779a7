import pytest

from routetable import TABLE, PatternError, Route, RouteTable, RouteTableError, Rule


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/auth/login", "users"),
        ("/v1/users", "users"),
        ("/v1/users/me", "users"),
        ("/v1/doctors", "users"),
        ("/v1/doctors/d1", "users"),
        ("/.well-known/jwks.json", "users"),
        ("/v1/openapi/users.json", "users"),
        ("/v1/appointments", "appointments"),
        ("/v1/appointments/a1/cancel", "appointments"),
        ("/v1/schedules/d1/slots", "appointments"),
        ("/v1/waitlist", "appointments"),
        ("/v1/waitlist/w1/accept", "appointments"),
        ("/v1/slots", "appointments"),
        ("/v1/analytics/summary", "appointments"),
        ("/v1/calendars", "appointments"),
        ("/v1/calendars/s.ics", "appointments"),
        ("/v1/openapi/appointments.json", "appointments"),
        ("/v1/files", "files"),
        ("/v1/files/a1/f1/download", "files"),
        ("/v1/openapi/files.json", "files"),
        ("/v1/users?role=doctor", "users"),
        ("/", None),
        ("", None),
        ("/health", None),
        ("/health/dependencies", None),
        ("/metrics", None),
        ("/v1/auth", None),
        ("/v1/schedules", None),
        ("/v1/slots/", None),
        ("/V1/users", None),
        ("/v1/%75sers", None),
        ("//v1/users", None),
        ("/x?/v1/users", None),
    ],
)
def test_finds_the_service_that_owns_a_path(path: str, service: str | None) -> None:
    found = TABLE.match(path)
    assert (found and found.service) == service


def test_names_every_service() -> None:
    assert TABLE.services == {"users", "appointments", "files"}


def test_the_lowest_priority_wins_whatever_the_order_given() -> None:
    table = RouteTable([Rule(2, ("/a*",), "second"), Rule(1, ("/ab*",), "first")])
    assert table.match("/abc") == Route("/ab*", "first")
    assert table.match("/ac") == Route("/a*", "second")


def test_tells_the_pattern_that_matched_and_not_the_path() -> None:
    table = RouteTable([Rule(1, ("/a", "/b/*", "/b/c*"), "x")])
    assert table.match("/a?secret") == Route("/a", "x")
    assert table.match("/b/c") == Route("/b/*", "x")  # the first of a rule's patterns


@pytest.mark.parametrize(
    "rules",
    [
        [Rule(1, ("/a",), "x"), Rule(1, ("/b",), "x")],
        [Rule(1, (), "x")],
        [Rule(1, ("/a", "/b", "/c", "/d", "/e", "/f"), "x")],
        [Rule(1, ("/*/*/*", "/?/?", "/*"), "x")],
        [Rule(0, ("/a",), "x")],
        [Rule(50_001, ("/a",), "x")],
        [Rule(priority, ("/a",), "x") for priority in range(1, 102)],
    ],
)
def test_refuses_a_table_that_would_not_deploy(rules: list[Rule]) -> None:
    with pytest.raises(RouteTableError):
        RouteTable(rules)


def test_takes_a_table_at_every_limit() -> None:
    rules = [
        Rule(50_000 - number, (f"/{number}/*/?", "/*", "/*", "/*", "/a"), "x")
        for number in range(100)
    ]
    assert RouteTable(rules).match("/7/a/b") == Route("/*", "x")


def test_refuses_a_bad_pattern() -> None:
    with pytest.raises(PatternError):
        RouteTable([Rule(1, ("/" + "a" * 128,), "x")])
