"""./dev openapi: each service's OpenAPI document and docs/access.md, written or compared."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tools import access
from tools.environments import ROOT

SERVICES = ("users", "appointments", "files")


def document(service: str) -> str:
    """Return the document that the service's operations make; raises CalledProcessError."""
    run = subprocess.run(
        [sys.executable, "-m", f"{service}_service", "openapi"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout


def main() -> int:
    """Write the documents, or with --check tell which differ; 1 when one does."""
    parser = argparse.ArgumentParser(prog="./dev openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args()
    try:
        with ThreadPoolExecutor() as pool:
            documents = list(pool.map(document, SERVICES))
    except subprocess.CalledProcessError as error:
        print(f"dev: {' '.join(error.cmd[1:])} failed", file=sys.stderr)  # it said why itself
        return 1
    written = dict(zip(SERVICES, documents, strict=True))
    try:
        page = access.page({service: json.loads(text) for service, text in written.items()})
    except access.MissingError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    files = {f"services/{service}/openapi.json": text for service, text in written.items()}
    differing = 0
    for name, new in {**files, "docs/access.md": page}.items():
        path = ROOT / name
        if path.exists() and path.read_text() == new:
            continue
        differing += 1
        if options.check:
            print(f"{name} is not what the operations make: run ./dev openapi")
        else:
            path.write_text(new)
            print(f"{name} written")
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
