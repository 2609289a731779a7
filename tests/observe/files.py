"""What stands in observe/: rules, alerts, dashboards, and every expression in them."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from tools.environments import ROOT

FOLDER = ROOT / "observe"

# What Grafana puts in the place of its variables.
_VARIABLES = {"$__rate_interval": "1m", "$service": ".*", "$store": ".*"}


@cache
def load(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in load("prometheus/alerts.yml")["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """By the file's name, without its ending."""
    paths = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All but the rows that part them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every query of every panel, and where it stands."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression as Prometheus gets it, and where it stands."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for where, target in targets():
        yield where, plain(target["expr"])


def plain(expression: str) -> str:
    """An expression of a dashboard without Grafana's variables."""
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def legend_labels(target: dict[str, Any]) -> set[str]:
    return set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
