"""The rules of ./dev lint that are its own."""

from pathlib import Path

import pytest

from tools.lint import MAX_LINES, download_addresses, long_files


def test_a_long_source_file_is_named_and_a_long_text_is_not(tmp_path: Path) -> None:
    for name in ("long.py", "long.md"):
        (tmp_path / name).write_text("x = 1\n" * (MAX_LINES + 1))
    (tmp_path / "fits.py").write_text("x = 1\n" * MAX_LINES)
    assert long_files(sorted(tmp_path.iterdir())) == [
        f"{tmp_path / 'long.py'}: {MAX_LINES + 1} lines, more than {MAX_LINES}"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https" + "://packages.example/simple",
        '"resolved"' + ': "left-pad-1.3.0.tgz"',
        "https" + "://packages.example/some/left_pad-1.3.0-py3-none-any.whl",
        "registry" + "=https://packages.example/npm",
    ],
)
def test_a_download_address_is_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text(f"fine\n{line}\n")
    assert [found.split(":")[1] for found in download_addresses([path])] == ["2"]


def test_a_lock_file_with_addresses_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "uv.lock"
    path.write_text("")
    assert len(download_addresses([path])) == 1


def test_pins_with_hashes_and_ordinary_links_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("uvloop==0.23.0 --hash=sha256:00\nsee https://docs.example/registry.html\n")
    assert download_addresses([path]) == []
