"""The program: `python -m files_service`, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
from openapi_spec_validator import validate

DOCUMENT = Path(__file__).resolve().parents[2] / "services" / "files" / "openapi.json"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "files_service", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_document_needs_no_settings_and_is_the_committed_one() -> None:
    printed = run("openapi", ENVIRONMENT="production")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == DOCUMENT.read_text(), "run ./dev openapi"


def test_the_document_is_openapi() -> None:
    validate(json.loads(DOCUMENT.read_text()))


def test_a_bad_setting_is_one_line_and_exit_code_2() -> None:
    ended = run(FILES_S3_ENDPOINT="nowhere")
    assert ended.returncode == 2
    assert ended.stderr.startswith("bad settings: FILES_S3_ENDPOINT: ")
    assert ended.stderr.count("\n") == 1


def test_a_bucket_that_cannot_be_made_is_one_line_and_exit_code_1() -> None:
    ended = run("create-bucket", FILES_S3_ENDPOINT="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert ended.stderr.startswith("the bucket could not be made: ")
    assert ended.stderr.count("\n") == 1


def test_making_the_bucket_twice_is_making_it_once(ministack: str) -> None:
    for _ in range(2):
        ended = run("create-bucket", FILES_S3_ENDPOINT=ministack, FILES_BUCKET="made-by-command")
        assert (ended.returncode, ended.stderr) == (0, "")


async def test_it_listens_serves_and_ends_on_sigterm(ministack: str, bucket: str) -> None:
    environment = {"FILES_S3_ENDPOINT": ministack, "FILES_BUCKET": bucket, "FILES_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "files_service",
        env=os.environ | environment,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            event = json.loads(await process.stdout.readline())
        assert (event["event"], event["service"]) == ("listening", "files")
        base = f"http://{event['host']}:{event['port']}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/health") as health:
                assert (await health.json())["service"] == "files"
            async with session.get(f"{base}/v1/openapi/files.json") as document:
                assert await document.json() == json.loads(DOCUMENT.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await process.communicate()
    assert process.returncode == 0
