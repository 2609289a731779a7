"""A small program in the place of a service: answers GET /health on PORT until SIGTERM.

FAIL=code ends it at once. STUBBORN=1 makes it ignore SIGTERM. STARTS=file gets a line a start, and
ENDS=file its NAME when it was told to end.
"""

import http.server
import os
import signal
import sys
from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass  # its log is for what it says itself


def append(variable: str) -> None:
    if variable in os.environ:
        with Path(os.environ[variable]).open("a") as file:
            file.write(os.environ["NAME"] + "\n")


def end(*_: object) -> None:
    append("ENDS")
    sys.exit(0)


append("STARTS")
if "FAIL" in os.environ:
    sys.stderr.write("it can't go on\n")
    sys.exit(int(os.environ["FAIL"]))
signal.signal(signal.SIGTERM, signal.SIG_IGN if "STUBBORN" in os.environ else end)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Health).serve_forever()
