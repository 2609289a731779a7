"""An AWS session that keeps the service models without their documentation.

botocore holds each model as one tree of parsed JSON, in ordered dictionaries and with all its
prose, for as long as a client lives. Plain dictionaries without prose take 5 MiB less a process.
What loads models, and what reads their files, are parts that botocore lets its user replace.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aioboto3
from aiobotocore.session import AioSession
from botocore.loaders import Loader

_OPENERS: dict[str, Callable[[Path, str], Any]] = {".json": Path.open, ".json.gz": gzip.open}


class LeanFileLoader:
    """Reads a model's file: the `file_loader` of a botocore Loader."""

    def exists(self, file_path: str) -> bool:
        """Whether there is such a file, whatever its extension."""
        return any(Path(file_path + extension).is_file() for extension in _OPENERS)

    def load_file(self, file_path: str) -> Any:
        """The parsed file, None if there is none."""
        for extension, opened in _OPENERS.items():
            path = Path(file_path + extension)
            if path.is_file():
                with opened(path, "rb") as file:
                    return json.loads(file.read(), object_pairs_hook=_undocumented)
        return None


def _undocumented(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Empty and not left out: botocore looks for it in some places. Where the value isn't text,
    # `documentation` is the name of something.
    return {
        name: "" if name == "documentation" and isinstance(value, str) else value
        for name, value in pairs
    }


def new_session() -> aioboto3.Session:
    """A session for all clients of one process."""
    session = AioSession()
    loader = Loader(file_loader=LeanFileLoader(), include_default_search_paths=True)
    session.register_component("data_loader", loader)
    return aioboto3.Session(botocore_session=session)
