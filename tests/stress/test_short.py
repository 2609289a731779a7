"""A short run of what `./dev stress` does at length, in one process."""

from io import StringIO

import pytest

from tests.conftest import SEED
from tools import environments
from tools.emulator import CREDENTIALS
from tools.progress import Progress
from tools.stress.__main__ import parse, stress
from tools.stress.run import Plan


async def test_a_short_history_is_explained_by_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    environments.ensure([environments.emulator()])
    plan = Plan(operations=1500, seed=SEED, instances=2, processes=0, restarts=1)
    with Progress(output=StringIO()) as progress:
        outcome, found = await stress(plan, progress, environments.emulator().python)
    assert found == [], f"seed {SEED}"
    assert len(outcome.history.operations) >= plan.operations
    assert sum(one.done for one in outcome.history.operations) > plan.operations / 4
    happened = {fault for fault, count in outcome.faults.items() if count}
    assert {"conflict", "throttled", "timed out before", "timed out after"} <= happened


def test_the_command_line() -> None:
    options = parse(["--operations", "5", "--seed", "9"])
    assert (options.operations, options.workers, options.seed) == (5, 16, 9)
    assert parse([]).operations == 20_000
    with pytest.raises(SystemExit):
        parse(["--operations", "0"])
