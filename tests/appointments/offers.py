"""Random clinics, for comparing what is offered with what can be booked."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from appointments_service.domain.availability import Hours
from appointments_service.domain.buckets import Claims, claims_of
from appointments_service.domain.schedules import WEEKDAYS, Interval, Override, Schedule
from tools.stress.oracle import Rules, Span
from tools.stress.zones import distinct_zones

FIVE = 300
DAYS = 3


@dataclass(frozen=True)
class Case:
    """A doctor's rules, what is busy (Unix seconds), and the moment at which somebody asks."""

    rules: Rules
    doctor_busy: list[Span]
    patient_busy: list[Span]
    now: datetime
    first: date

    @property
    def dates(self) -> tuple[date, date]:
        return self.first, self.first + timedelta(days=DAYS - 1)

    @property
    def starts(self) -> range:
        """Every 5 minutes of the dates, whatever the zone, and of some hours around them."""
        midnight = int(datetime(*self.first.timetuple()[:3], tzinfo=UTC).timestamp())
        return range(midnight - 16 * 3600, midnight + (24 * DAYS + 14) * 3600, FIVE)

    def hours(self) -> Hours:
        """As the service keeps them."""
        rules = self.rules
        schedule = Schedule(
            doctor_id="doc",
            timezone=rules.zone,
            weekly={WEEKDAYS[day]: _intervals(spans) for day, spans in rules.weekly.items()},
            slot_minutes=rules.slot,
            buffer_before_minutes=rules.before,
            buffer_after_minutes=rules.after,
            min_notice_minutes=rules.notice,
            horizon_days=rules.horizon_days,
            version=1,
            valid_from=datetime(2024, 1, 1, tzinfo=UTC),
        )
        overrides = {
            day: Override("doc", day, _intervals(spans), 1)
            for day, spans in rules.overrides.items()
        }
        return Hours(schedule, overrides)


def _intervals(spans: object) -> tuple[Interval, ...]:
    assert isinstance(spans, list | tuple)
    return tuple(Interval(*span) for span in spans)


def busy(spans: list[Span]) -> Claims:
    """As the calendar keeps it."""
    found: dict[int, int] = {}
    for span in spans:
        for day, mask in claims_of(*span).items():
            found[day] = found.get(day, 0) | mask
    return found


@st.composite
def day_hours(draw: st.DrawFn) -> tuple[Span, ...]:
    edges = draw(st.lists(st.integers(0, 288), max_size=6, unique=True).map(sorted))
    # Two intervals may touch, and are two all the same.
    edges = sorted([*edges, *draw(st.lists(st.sampled_from(edges or [0]), max_size=1))])
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return tuple((start * 5, end * 5) for start, end in pairs if start < end)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zones = distinct_zones()
    zone = draw(st.sampled_from(sorted(zones)))
    moments = [change.moment for change in zones[zone]]
    near_a_change: bool = draw(st.booleans())
    if moments and near_a_change:
        moment = draw(st.sampled_from(moments))
        first = datetime.fromtimestamp(moment, UTC).date() - timedelta(days=1)
    else:
        first = draw(st.dates(date(2024, 1, 3), date(2034, 12, 20)))
    midnight = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())
    minutes = draw(st.integers(-26 * 60, 30 * 60))
    now = datetime.fromtimestamp(midnight, UTC) + timedelta(
        minutes=minutes, microseconds=draw(st.sampled_from((0, 0, 1, 29_999_999)))
    )
    taken: st.SearchStrategy[list[Span]] = st.lists(
        st.tuples(st.integers(-100, DAYS * 288), st.integers(1, 24)).map(
            lambda at: (midnight + at[0] * FIVE, midnight + (at[0] + at[1]) * FIVE)
        ),
        max_size=8,
    )
    fives = [5, 10, 20, 25, 30, 45, 55, 60, 240]
    rules = Rules(
        zone=zone,
        weekly=draw(st.dictionaries(st.integers(0, 6), day_hours(), min_size=3)),
        slot=draw(st.sampled_from(fives)),
        before=draw(st.sampled_from((0, 0, 5, 15, 60))),
        after=draw(st.sampled_from((0, 0, 10, 60))),
        notice=draw(st.sampled_from((0, 5, 90, 1440, 43_200))),
        horizon_days=draw(st.sampled_from((1, 2, 3, 90))),
        overrides=draw(
            st.dictionaries(
                st.integers(-1, DAYS).map(lambda n: first + timedelta(days=n)),
                day_hours(),
                max_size=2,
            )
        ),
    )
    return Case(rules, draw(taken), draw(taken), now, first)
