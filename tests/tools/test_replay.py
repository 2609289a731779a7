"""./dev replay against the whole suite: it proves what holds, and finds what is lost."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.tools.suites import ADMIN, Whole, whole_fixture  # noqa: F401 - the fixture `whole`
from tools.answers import read_answers
from tools.environments import ROOT
from tools.replay.rows import COLUMNS


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """60 appointments: one neighbourhood that needs two doctors, and busy patients."""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(60):
            day = f"2016-05-{2 + number // 30:02}T00:00:00Z"
            made = f"2016-04-{1 + number * 7 % 28:02}T08:00:00Z"
            where = "CENTRO" if number % 3 else "ILHA DO BOI"
            writer.writerow((f"p{number % 23}", f"a{number}", made, day, where))
    return path


async def replay(
    target: str, rows: Path, *arguments: str, password: str = ADMIN[1]
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.replay", str(rows), "--target", target]
    command += ["--admin-email", ADMIN[0], *arguments]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env={**os.environ, "REPLAY_ADMIN_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def audit(whole: Whole, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.audit", "--endpoint", whole.emulator]
    command += ["--table", whole.table, *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def counts(output: str) -> dict[tuple[str, str, str], int]:
    """The table of answers: (operation, status, code) → how many."""
    found = re.findall(r"^([a-z -]+?) +(\d+|none) +(\S+) +(\d+)  [a-zA-Z]", output, re.MULTILINE)
    return {(operation, status, code): int(count) for operation, status, code, count in found}


async def test_rows_are_booked_and_lived_through_and_the_audit_agrees(
    whole: Whole, rows: Path, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.ndjson"
    done = await replay(whole.gateway, rows, "--life", "--answers", str(answers))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 appointments of 23 patients with 3 doctors on 2 days" in done.stdout
    answered = counts(done.stdout)
    assert answered["register", "201", "-"] == answered["log in", "200", "-"] - 1 == 23
    assert answered["book", "201", "-"] == 60
    assert answered["move", "200", "-"] > 0
    assert answered["cancel", "200", "-"] > 0
    changes = ("book", "move", "cancel", "check-in", "complete")
    told = sum(count for (what, _, _), count in answered.items() if what in changes)
    assert len(list(read_answers(answers))) == told
    assert re.search(r"^60 of 60 rows booked in .* rows/s; 0 unexplained answers, 0 faults$",
                     done.stdout, re.MULTILINE)  # fmt: skip
    audited = await audit(whole, "--json", "--answers", str(answers))
    assert audited.returncode == 0, audited.stdout
    document = json.loads(audited.stdout)
    assert document["seen"]["appointments"] == 60
    assert document["seen"]["journal answers"] == told


async def test_with_its_seed_it_goes_on_and_with_another_it_begins_anew(
    whole: Whole, rows: Path
) -> None:
    first = await replay(whole.gateway, rows, "--seed", "7", "--limit", "40")
    assert first.returncode == 0, first.stdout + first.stderr
    again = await replay(whole.gateway, rows, "--seed", "7", "--limit", "40", "--life")
    assert again.returncode == 0, again.stdout + again.stderr
    answered = counts(again.stdout)
    assert answered["book", "201", "replayed"] == 40
    assert answered["register", "409", "email_taken"] == answered["read account", "200", "-"] == 23
    assert answered["make doctor", "409", "email_taken"] == answered["find doctor", "200", "-"]
    assert not {operation for operation, _, _ in answered} & {"move", "cancel"}
    other = await replay(whole.gateway, rows, "--seed", "8", "--limit", "40")
    assert counts(other.stdout)["book", "201", "-"] == 40
    audited = await audit(whole)
    assert "80 appointments" in audited.stdout
    assert audited.returncode == 0


Meddle = Callable[[web.Request, "Forward"], Awaitable[web.StreamResponse]]
Forward = Callable[[], Awaitable[web.Response]]


@asynccontextmanager
async def meddler(target: str, meddle: Meddle) -> AsyncIterator[str]:
    """A proxy before the gateway that may do with each request what it likes."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def answer(request: web.Request) -> web.StreamResponse:
            async def forward() -> web.Response:
                async with session.request(
                    request.method,
                    target + request.path_qs,
                    headers={k: v for k, v in request.headers.items() if k != "Host"},
                    data=await request.read(),
                ) as given:
                    kept = ("Content-Type", "Idempotency-Replayed", "Retry-After")
                    headers = {k: v for k, v in given.headers.items() if k in kept}
                    return web.Response(
                        body=await given.read(), status=given.status, headers=headers
                    )

            return await meddle(request, forward)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


class Every:
    """Calls `meddle` for each so-manyth booking, and passes on all else."""

    def __init__(self, number: int, meddle: Meddle) -> None:
        self._number = number
        self._meddle = meddle
        self._seen = 0
        self.meddled = 0

    async def __call__(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        if request.method == "POST" and request.path == "/v1/appointments":
            self._seen += 1
            if self._seen % self._number == 0:
                self.meddled += 1
                return await self._meddle(request, forward)
        return await forward()


async def fails(_: web.Request, __: Forward) -> web.StreamResponse:
    return web.json_response({"code": "internal_error"}, status=500)


async def test_a_5xx_is_found(whole: Whole, rows: Path) -> None:
    every = Every(10, fails)
    async with meddler(whole.gateway, every) as target:
        done = await replay(target, rows)
    assert done.returncode == 1
    assert counts(done.stdout)["book", "500", "internal_error"] == every.meddled == 6
    assert re.search(r"^book +500 +internal_error +6  UNEXPLAINED$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^FAULT  row \d+: book: 500 internal_error$", done.stdout, re.M)) == 6
    assert "54 of 60 rows booked" in done.stdout


async def invents(request: web.Request, _: Forward) -> web.StreamResponse:
    """Says 201 and does nothing."""
    asked = await request.json()
    claims = request.headers["Authorization"].split(".")[1]
    subject = json.loads(urlsafe_b64decode(claims + "=="))["sub"]
    invented = {
        **asked, "id": subject + "0" * 26, "patient_id": subject, "status": "booked", "version": 1
    }  # fmt: skip
    return web.json_response(invented, status=201)


async def test_a_lost_booking_is_found_by_both(whole: Whole, rows: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.ndjson"
    async with meddler(whole.gateway, Every(30, invents)) as target:
        done = await replay(target, rows, "--answers", str(answers))
    assert done.returncode == 1
    lost = re.findall(r"^FAULT  lost: appointment (\S+), 404 not_found$", done.stdout, re.M)
    assert len(lost) == 2
    audited = await audit(whole, "--answers", str(answers))
    assert audited.returncode == 1
    for one in lost:
        assert (
            f"invariant 4: appointment {one}: a replay was answered 201, and it" in audited.stdout
        )
    assert audited.stdout.endswith("2 breaches\n")


async def hides(_: web.Request, forward: Forward) -> web.StreamResponse:
    """Does it, and says that it was refused."""
    await forward()
    return web.json_response({"code": "slot_taken"}, status=409)


async def test_a_booking_that_nobody_was_told_of_is_found(whole: Whole, rows: Path) -> None:
    async with meddler(whole.gateway, Every(30, hides)) as target:
        done = await replay(target, rows)
    assert done.returncode == 1
    assert done.stdout.count("FAULT  nobody was told of appointment ") == 2
    assert re.search(r"^book +409 +slot_taken +2  UNEXPLAINED$", done.stdout, re.MULTILINE)


async def moves(request: web.Request, forward: Forward) -> web.StreamResponse:
    """Answers with another time than was asked for, and than is kept."""
    answer = await forward()
    assert isinstance(answer.body, bytes)
    appointment = {**json.loads(answer.body), "starts_at": "2030-01-01T00:00:00Z"}
    return web.json_response(appointment, status=answer.status)


async def test_an_answer_about_another_time_is_found(whole: Whole, rows: Path) -> None:
    async with meddler(whole.gateway, Every(60, moves)) as target:
        done = await replay(target, rows)
    assert done.returncode == 1
    assert re.search(r"^FAULT  book: answered .*2030-01-01", done.stdout, re.MULTILINE)
    assert re.search(r"^FAULT  appointment \S+ is .*, answered .*2030", done.stdout, re.MULTILINE)


async def loses(request: web.Request, forward: Forward) -> web.StreamResponse:
    """Does it, and the answer is lost."""
    await forward()
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


async def is_away(_: web.Request, __: Forward) -> web.StreamResponse:
    return web.json_response(
        {"code": "store_unavailable"}, status=503, headers={"Retry-After": "0"}
    )


@pytest.mark.parametrize("meddle", [loses, is_away])
async def test_outages_are_lived_through_and_tolerated_only_where_they_are_meant(
    whole: Whole, rows: Path, meddle: Meddle
) -> None:
    async with meddler(whole.gateway, Every(7, meddle)) as target:
        strict = await replay(target, rows)
        tolerant = await replay(target, rows, "--tolerate-outages")
    for done in (strict, tolerant):
        assert "60 of 60 rows booked" in done.stdout
        assert "FAULT" not in done.stdout
    assert (strict.returncode, tolerant.returncode) == (1, 0), tolerant.stdout
    assert "UNEXPLAINED" in strict.stdout
    assert "tried again" in tolerant.stdout
    assert (await audit(whole)).returncode == 0


async def test_an_interrupt_prints_how_far_it_came(whole: Whole, rows: Path) -> None:
    reached = asyncio.Event()

    async def hangs(_: web.Request, __: Forward) -> web.StreamResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with meddler(whole.gateway, Every(20, hangs)) as target:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.replay", str(rows), "--target", target),
            *("--admin-email", ADMIN[0], "--concurrency", "1"),
            cwd=ROOT,
            env={**os.environ, "REPLAY_ADMIN_PASSWORD": ADMIN[1]},
            stdout=subprocess.PIPE,
        )
        await asyncio.wait_for(reached.wait(), 60)
        process.send_signal(signal.SIGINT)
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert counts(output.decode())["book", "201", "-"] == 19
    assert "19 of 60 rows booked" in output.decode()


async def test_a_wrong_password_of_the_staff_ends_it(whole: Whole, rows: Path) -> None:
    done = await replay(whole.gateway, rows, password="wrong and long enough")
    assert done.returncode == 1
    assert "FAULT  doctors: log in: 401 bad_credentials" in done.stdout
    assert "0 of 60 rows booked" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--run-dir", "/nowhere"], "dev: the suite is not running: ./dev up starts it"),
        (["--target", "localhost"], "dev: --target localhost: an address such as"),
        (["--target", "http://127.0.0.1:1"], "dev: --target needs --admin-email"),
        (
            ["--target", "http://127.0.0.1:1", "--admin-email", "a@b.example"],
            "dev: --target needs --admin-password-file or REPLAY_ADMIN_PASSWORD",
        ),
    ],
)
def test_what_can_not_begin_is_one_line(rows: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.replay", str(rows), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1
