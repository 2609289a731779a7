"""./dev openapi: each service's OpenAPI document, written beside it or compared with it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
    differing = 0
    for service, new in zip(SERVICES, documents, strict=True):
        path = ROOT / "services" / service / "openapi.json"
        if path.exists() and path.read_text() == new:
            continue
        differing += 1
        name = path.relative_to(ROOT)
        if options.check:
            print(f"{name} is not what the service's operations make: run ./dev openapi")
        else:
            path.write_text(new)
            print(f"{name} written")
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
