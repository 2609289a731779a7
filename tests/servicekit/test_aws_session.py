"""The AWS session that leaves out what nobody reads."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from servicekit.aws_session import LeanFileLoader

MODEL = b"""{
    "metadata": {"serviceId": "S3"},
    "documentation": "<p>Gr\xc3\xb6\xc3\x9fe</p>",
    "shapes": {
        "A": {"members": {"documentation": {"shape": "B", "documentation": "<p>b</p>"}}}
    }
}"""


@pytest.fixture(params=["plain", "compressed"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "plain":
        (tmp_path / "service-2.json").write_bytes(MODEL)
    else:
        (tmp_path / "service-2.json.gz").write_bytes(gzip.compress(MODEL))
    return str(tmp_path / "service-2")


def test_prose_is_emptied_and_names_are_kept(path: str) -> None:
    loader = LeanFileLoader()
    assert loader.exists(path)
    assert loader.load_file(path) == {
        "metadata": {"serviceId": "S3"},
        "documentation": "",
        "shapes": {"A": {"members": {"documentation": {"shape": "B", "documentation": ""}}}},
    }


def test_it_finds_what_botocore_finds(path: str) -> None:
    lean, full = LeanFileLoader(), JSONFileLoader()
    for candidate in (path, path + "-missing"):
        assert lean.exists(candidate) == full.exists(candidate)
        assert (lean.load_file(candidate) is None) == (full.load_file(candidate) is None)
