"""What alerts and dashboards promise whoever reads them."""

import re
from typing import Any

import pytest

from tests.observe.files import alerts, dashboards, load, panels
from tools.environments import ROOT

OPERATIONS = "docs/operations.md"
by_alert = pytest.mark.parametrize("name", alerts())
by_dashboard = pytest.mark.parametrize("name", dashboards())


@by_alert
def test_an_alert_says_what_it_means_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(alert["annotations"].values())
    headings = re.findall(r"^### (\w+)$", (ROOT / OPERATIONS).read_text(), re.M)
    assert name in headings
    # A heading's anchor is its text in small letters.
    assert alert["annotations"]["runbook_url"] == f"{OPERATIONS}#{name.lower()}"


@by_alert
def test_an_alert_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    seen = [
        bool(check["exp_samples"])
        for test in load("prometheus/alerts_test.yml")["tests"]
        for check in test.get("promql_expr_test", [])
        if f'alertname="{name}"' in check["expr"]
    ]
    assert set(seen) == {True, False}


def test_every_runbook_has_its_alert() -> None:
    text = (ROOT / OPERATIONS).read_text()
    part = text[text.index("\n## Alerts") :].split("\n## ", 2)[1]
    assert sorted(re.findall(r"^### (\w+)$", part, re.M)) == sorted(alerts())


@by_dashboard
def test_a_dashboard_asks_the_provisioned_source(name: str) -> None:
    (source,) = load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    dashboard = dashboards()[name]
    askers: list[dict[str, Any]] = [*panels(dashboard), *dashboard["templating"]["list"]]
    askers += [target for panel in panels(dashboard) for target in panel["targets"]]
    assert len(askers) > 20
    assert [asker for asker in askers if asker["datasource"] != wanted] == []


@by_dashboard
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = dashboards()[name]
    assert dashboard["uid"] == name
    assert dashboard["description"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]}
    assert len(places) == len(ids)
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["expr"].strip() for target in panel["targets"]), panel["title"]
    used = set(re.findall(r"\$(?!__)(\w+)", str(panels(dashboard))))
    assert used == {variable["name"] for variable in dashboard["templating"]["list"]}


def test_the_dashboards_are_alike() -> None:
    schemas = {dashboard["schemaVersion"] for dashboard in dashboards().values()}
    assert len(schemas) == 1
    assert sorted(dashboards()) == ["business", "gateway", "golden-signals", "stores"]
