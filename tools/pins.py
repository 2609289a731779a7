"""./dev pins: every pinned requirements file, compiled with hashes for all systems.

requirements/*.in make the environments of ./dev; each deployable's pyproject.toml makes its own
requirements.txt, with what the local libraries it uses need, and never another version than
requirements/dev.txt has. So what is tested is what is released.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.environments import PACKAGES, ROOT

UV = "uv==0.13.9"
DEPLOYABLES = ("services/users", "services/appointments", "services/files", "gateway")

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[(?P<extras>[^\]]*)\])?")


def normalize(name: str) -> str:
    """Return a distribution's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def outside_requirements(directory: Path, root: Path = ROOT) -> list[str]:
    """Return what a package of this repository needs from outside, its local libraries' included.

    Sorted, as written in the pyproject.toml files (PEP 508).
    """
    local = {}
    for package in PACKAGES:
        project = _project(root / package)
        local[normalize(project["name"])] = project
    found = set()
    seen = set()

    def collect(requirements: Sequence[str]) -> None:
        for requirement in requirements:
            match = _REQUIREMENT.match(requirement)
            if match is None:
                raise ValueError(f"not a requirement: {requirement!r}")
            project = local.get(normalize(match["name"]))
            if project is None:
                found.add(requirement)
            elif requirement not in seen:
                seen.add(requirement)
                collect(project.get("dependencies", []))
                for extra in filter(None, (match["extras"] or "").replace(" ", "").split(",")):
                    collect(project["optional-dependencies"][extra])

    collect(_project(directory).get("dependencies", []))
    return sorted(found)


def pinned(requirements: Path) -> Iterator[tuple[str, str]]:
    """Yield each pin's name and its version with its marker, such as ("uvloop", "0.23.0 ; …")."""
    for line in requirements.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(.+?)\s*\\?$", line)
        if match is not None:
            yield normalize(match[1]), match[2]


def main(arguments: Sequence[str]) -> int:
    """Compile all files; versions change only where they must, or with --upgrade."""
    parser = argparse.ArgumentParser(prog="./dev pins", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = ["--upgrade"] if parser.parse_args(arguments).upgrade else []
    with tempfile.TemporaryDirectory(prefix="pins-") as scratch:
        venv.create(scratch, with_pip=True)
        binaries = Path(scratch) / "bin"
        install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", UV]
        subprocess.run([binaries / "python", *install], check=True)
        for name in ("dev", "emulator"):
            _compile(binaries, ROOT / "requirements", [f"{name}.in", *upgrade], f"{name}.txt")
        for deployable in DEPLOYABLES:
            constraint = ["--constraint", str(ROOT / "requirements" / "dev.txt"), "--no-annotate"]
            _compile(
                binaries,
                ROOT / deployable,
                ["-", *constraint, *upgrade],
                "requirements.txt",
                "\n".join(outside_requirements(ROOT / deployable)),
            )
    return 0


def _compile(
    binaries: Path, directory: Path, options: Sequence[str], output: str, content: str = ""
) -> None:
    command = [str(binaries / "uv"), "pip", "compile", *options, "--output-file", output]
    command += ["--generate-hashes", "--universal", "--python-version", "3.11", "--no-header"]
    command += ["--python", str(binaries / "python"), "--quiet"]
    subprocess.run(command, cwd=directory, input=content, text=True, check=True)
    print((directory / output).relative_to(ROOT), flush=True)


def _project(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
