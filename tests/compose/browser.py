"""A page in a real browser, and what it reports of what it could do."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tools.processes import die_with_parent, end

_PAGE = Path(__file__).with_name("page.html")
_RESULT_SECONDS = 120.0
_STOP_SECONDS = 10.0

# Nothing but the page is loaded, on a machine that may have no display and little shared memory.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)


def find_browser() -> str | None:
    """An installed Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class PageServer:
    """Serves one page on 127.0.0.1, gives it its task, and takes what it reports.

    The page has two origins: `origin`, and `other_origin`, which is the same server by its address.
    """

    def __init__(self) -> None:
        self._task: dict[str, Any] = {}
        self._reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        port = self._server.server_port
        self.origin = f"http://localhost:{port}"
        self.other_origin = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="pages").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def report_of(self, origin: str, task: dict[str, Any]) -> dict[str, Any]:
        """What the page says when a browser has opened it at this origin."""
        self._task = task
        with _browser(f"{origin}/") as log:
            try:
                return self._reports.get(timeout=_RESULT_SECONDS)
            except queue.Empty:
                raise AssertionError(f"no report: {log.read_text()[-4000:]}") from None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/task.json":
                    self._answer("application/json", json.dumps(pages._task).encode())
                else:
                    self._answer("text/html; charset=utf-8", _PAGE.read_bytes())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                pages._reports.put(json.loads(self.rfile.read(length)))
                self._answer("application/json", b"{}")

            def log_message(self, *_: object) -> None:
                """Nothing: what matters is in the report."""

            def _answer(self, media_type: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


@contextmanager
def _browser(address: str) -> Iterator[Path]:
    """A browser on this page, of a profile of its own, and the file with what it logs."""
    program = find_browser()
    assert program is not None, "a test that opens a page has no `browser` mark"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        log = Path(home) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, *_FLAGS, f"--user-data-dir={home}/profile", address],
                env={"PATH": os.environ["PATH"], "HOME": home},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - threads only wait now
            )
        try:
            yield log
        finally:
            end(process, _STOP_SECONDS)
