"""The one table of paths and services."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from routetable.patterns import PathPattern

MAX_RULES: Final = 100
MAX_VALUES_PER_RULE: Final = 5
MAX_WILDCARDS_PER_RULE: Final = 5
MAX_PRIORITY: Final = 50_000


class RouteTableError(ValueError):
    """A table that the load balancer would refuse."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A listener rule: paths matching any of `patterns` belong to `service`."""

    priority: int
    patterns: tuple[str, ...]
    service: str


@dataclass(frozen=True, slots=True)
class Route:
    """What a path matched: a pattern, as its rule has it, and the service that it belongs to."""

    pattern: str
    service: str


class RouteTable:
    """Listener rules in the order of their priority, lowest number first.

    The limits are those of an Application Load Balancer ("Quotas for your Application Load
    Balancers"), checked when the table is built, so that a table that works here deploys there.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Build the table.

        Raises:
            RouteTableError: too many rules, a priority out of range or used twice, or a rule with
                no value, too many values or too many wildcards.
            PatternError: a pattern that is not one.
        """
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: rule.priority))
        if len(self.rules) > MAX_RULES:
            raise RouteTableError(f"{len(self.rules)} rules, at most {MAX_RULES} are allowed")
        priorities = [rule.priority for rule in self.rules]
        if len(set(priorities)) < len(priorities):
            raise RouteTableError(f"a priority is used twice: {priorities}")
        self._routes = [
            (pattern, Route(pattern.text, rule.service))
            for rule in self.rules
            for pattern in _compile(rule)
        ]

    @property
    def services(self) -> frozenset[str]:
        """The names of all services that own a path."""
        return frozenset(rule.service for rule in self.rules)

    def match(self, raw_path: str) -> Route | None:
        """Find the pattern that a path matches and the service that owns it, or None.

        The path is matched as it came, percent-encoded or not and never normalized; what follows
        a `?` is the query string and is not looked at.
        """
        path = raw_path.partition("?")[0]
        for pattern, route in self._routes:
            if pattern.matches(path):
                return route
        return None


def _compile(rule: Rule) -> tuple[PathPattern, ...]:
    if not 1 <= rule.priority <= MAX_PRIORITY:
        raise RouteTableError(f"priority {rule.priority} is not within 1 and {MAX_PRIORITY}")
    if not 1 <= len(rule.patterns) <= MAX_VALUES_PER_RULE:
        raise RouteTableError(
            f"rule {rule.priority} has {len(rule.patterns)} values, 1 to {MAX_VALUES_PER_RULE} "
            "are allowed"
        )
    patterns = tuple(PathPattern(text) for text in rule.patterns)
    wildcards = sum(pattern.wildcards for pattern in patterns)
    if wildcards > MAX_WILDCARDS_PER_RULE:
        raise RouteTableError(
            f"rule {rule.priority} has {wildcards} wildcards, at most {MAX_WILDCARDS_PER_RULE} "
            "are allowed"
        )
    return patterns


TABLE: Final = RouteTable(
    [
        Rule(10, ("/v1/auth/*", "/v1/users", "/v1/users/*"), "users"),
        Rule(
            11,
            (
                "/v1/doctors",
                "/v1/doctors/*",
                "/.well-known/jwks.json",
                "/v1/openapi/users.json",
            ),
            "users",
        ),
        Rule(
            20,
            (
                "/v1/appointments",
                "/v1/appointments/*",
                "/v1/schedules/*",
                "/v1/waitlist",
                "/v1/waitlist/*",
            ),
            "appointments",
        ),
        Rule(
            21,
            (
                "/v1/slots",
                "/v1/analytics/*",
                "/v1/calendars",
                "/v1/calendars/*",
                "/v1/openapi/appointments.json",
            ),
            "appointments",
        ),
        Rule(30, ("/v1/files", "/v1/files/*", "/v1/openapi/files.json"), "files"),
    ]
)
