"""Every name in rules and dashboards is one that the processes expose; Prometheus can't tell."""

import asyncio

import pytest

from tests.observe.exposed import Exposed
from tests.observe.exposed import exposed as exposed_by_all
from tests.observe.files import expressions, legend_labels, plain, rules, targets
from tests.observe.promql import Names, names_in

# What Prometheus adds to each sample.
OF_A_TARGET = frozenset({"job", "instance"})


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    found = asyncio.run(exposed_by_all(tmp_path_factory.mktemp("gateway")))
    recorded = {rule["record"]: {"job"} for rule in rules() if "record" in rule}
    return {**found, **recorded, "up": set()}


def test_names_are_read_from_an_expression() -> None:
    expression = """
        (sum by (job, le) (rate(a_total{b!="x{y}",c=~"by (d)"}[$__rate_interval])) or 0 * e:f) > 2.5
        and on (g) topk(5, time() - h_seconds{}) unless absent(up{job="i"})
    """
    assert names_in(expression) == Names(
        metrics=(
            ("a_total", frozenset({"b", "c"})),
            ("e:f", frozenset()),
            ("h_seconds", frozenset()),
            ("up", frozenset({"job"})),
        ),
        grouped=frozenset({"job", "le", "g"}),
    )


def test_every_metric_is_exposed(exposed: Exposed) -> None:
    used = {(name, where) for where, text in expressions() for name, _ in names_in(text).metrics}
    assert len(used) > 50
    assert sorted((name, where) for name, where in used if name not in exposed) == []


def test_every_metric_has_the_labels_it_is_asked_for_by(exposed: Exposed) -> None:
    missing = []
    for where, text in expressions():
        names = names_in(text)
        for name, selected in names.metrics:
            missing += [(where, name, label) for label in selected - _labels(exposed, name)]
        known = set().union(*(_labels(exposed, name) for name, _ in names.metrics))
        missing += [(where, "grouped by", label) for label in names.grouped - known]
    assert missing == []


def test_every_legend_names_labels_that_the_result_has(exposed: Exposed) -> None:
    missing = []
    for where, target in targets():
        names = names_in(plain(target["expr"]))
        of_metrics = set().union(*(_labels(exposed, name) for name, _ in names.metrics))
        left = names.grouped or of_metrics
        missing += [(where, label) for label in legend_labels(target) - left]
    assert missing == []


def _labels(exposed: Exposed, name: str) -> set[str]:
    return exposed.get(name, set()) | OF_A_TARGET
