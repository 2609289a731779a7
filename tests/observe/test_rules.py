"""The rules as Prometheus' own tool judges them."""

import subprocess

import pytest

from tools.environments import ROOT

pytestmark = pytest.mark.prometheus

FOLDER = ROOT / "observe" / "prometheus"


def promtool(*arguments: str) -> str:
    result = subprocess.run(
        ["promtool", *arguments],
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert "1 rule files found" in promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", "alerts.yml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")
