"""./dev lint: every check of the sources, each run and reported, 1 when any failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.environments import ROOT

MAX_LINES = 400
_TYPED = ("libs", "services", "gateway", "tools", "tests")
_SOURCES = {".py", ".sh", ".js", ".ts", ""}

# A pinned file proves what is downloaded by hashes; from where is each user's own affair.
_ADDRESSES = re.compile(
    r"""https?://[^\s"']+\.(?:whl|tgz|tar\.gz|deb)\b"""
    r"""|(?:index-url|find-links|registry)["'\s=:]+https?://"""
    r"""|"resolved"\s*:"""
    r"""|files\.pythonhosted\.org|registry\.npmjs\.org"""
)
_LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock"}


def long_files(paths: Iterable[Path]) -> list[str]:
    """Return a line for each source file with more than MAX_LINES lines."""
    found = []
    for path in paths:
        if path.suffix in _SOURCES and path.name != "LICENSE":
            lines = len(path.read_bytes().splitlines())
            if lines > MAX_LINES:
                found.append(f"{path}: {lines} lines, more than {MAX_LINES}")
    return found


def download_addresses(paths: Iterable[Path]) -> list[str]:
    """Return a line for each place that names a package registry, and each lock file that would."""
    found = []
    for path in paths:
        if path.name in _LOCK_FILES:
            found.append(f"{path}: a lock file that records download addresses (docs/adr/0004)")
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if _ADDRESSES.search(line):
                found.append(f"{path}:{number}: names a package registry: {line.strip()[:80]}")
    return found


def _files() -> list[Path]:
    """Return what belongs to the repository, new files included, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    names = [Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name]
    return [name for name in names if (ROOT / name).is_file()]


def _command(*command: str) -> Callable[[], tuple[bool, str]]:
    def run() -> tuple[bool, str]:
        result = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return result.returncode == 0, result.stdout

    return run


def _rule(rule: Callable[[Iterable[Path]], list[str]]) -> Callable[[], tuple[bool, str]]:
    def run() -> tuple[bool, str]:
        found = rule(_files())
        return not found, "\n".join(found)

    return run


def main() -> int:
    """Run all checks, print how each ended and what the failed ones said."""
    os.chdir(ROOT)
    scripts = Path(sys.executable).parent
    module = (sys.executable, "-m")
    checks = {
        "ruff check": _command(*module, "ruff", "check", "."),
        "ruff format": _command(*module, "ruff", "format", "--check", "."),
        "types (mypy)": _command(*module, "mypy", *_TYPED),
        "imports (import-linter)": _command(str(scripts / "lint-imports")),
        "openapi.json, access.md": _command(*module, "tools.openapi", "--check"),
        "no download addresses": _rule(download_addresses),
        f"files of at most {MAX_LINES} lines": _rule(long_files),
    }
    failed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        running = {name: pool.submit(check) for name, check in checks.items()}
        for name, result in running.items():
            passed, output = result.result()
            print(f"{'ok    ' if passed else 'FAILED'}  {name}", flush=True)
            if not passed:
                failed += 1
                print(output.rstrip(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
