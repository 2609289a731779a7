"""The index of an appointment as the JSON document that is stored."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

from files_service.domain import File, Index, Scan, Status

FORMAT = 1

_NAMES = tuple(field.name for field in fields(File) if field.name != "appointment_id")
_INSTANTS = frozenset({"created_at", "updated_at", "deleted_at"})


def encode_index(index: Index) -> bytes:
    """The document, in UTF-8."""
    document = {
        "format": FORMAT,
        "appointment_id": index.appointment_id,
        "files": [_of_file(file) for file in index.files.values()],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def decode_index(document: bytes) -> Index:
    """The index. Raises ValueError, KeyError or TypeError for what `encode_index` didn't write."""
    content = json.loads(document)
    if content["format"] != FORMAT:
        raise ValueError(f"an index in format {content['format']}")
    appointment_id = content["appointment_id"]
    files = (_to_file(appointment_id, listed) for listed in content["files"])
    return Index(appointment_id, {file.id: file for file in files})


def _of_file(file: File) -> dict[str, Any]:
    values = {name: getattr(file, name) for name in _NAMES}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def _to_file(appointment_id: str, listed: dict[str, Any]) -> File:
    values: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in _INSTANTS else value
        for name, value in listed.items()
    }
    values["status"] = Status(values["status"])
    values["scan"] = Scan(values["scan"])
    return File(appointment_id=appointment_id, **values)
