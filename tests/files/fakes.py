"""Hand-written stand-ins: the appointments and users services, and a store in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web

from files_service.domain import File, Index, UploadForm
from files_service.errors import (
    IndexConflictError,
    NotFoundError,
    NotUploadedError,
    StoreUnavailableError,
)
from files_service.index_document import decode_index, encode_index
from files_service.store import StoredIndex, Upload

PATIENT = "a-patient"
"""Whose every appointment is."""


@dataclass
class FakeNeighbours:
    """What files calls: the key set of users, and `GET /v1/appointments/{id}`.

    `visible` maps an appointment's id to the tokens that may see it. `answer` overrides what is
    answered for every appointment, by (status, body) with an optional content type.
    """

    jwks: dict[str, Any]
    visible: dict[str, set[str]] = field(default_factory=dict)
    answer: tuple[int, str, str] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Each request for an appointment: its id, and the Authorization header."""
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", self._keys)
        app.router.add_get("/v1/appointments/{id}", self._appointment)
        app.router.add_get("/v1/appointments", self._unauthorized)
        return app

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response(self.jwks)

    async def _unauthorized(self, _request: web.Request) -> web.Response:
        return _problem(401, "invalid_token")

    async def _appointment(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        appointment_id = request.match_info["id"]
        self.asked.append((appointment_id, authorization))
        self.headers.append(request.headers)
        if self.answer is not None:
            status, body, content_type = self.answer
            return web.Response(status=status, text=body, content_type=content_type)
        tokens = self.visible.get(appointment_id, set())
        if authorization.removeprefix("Bearer ") not in tokens:
            return _problem(404, "not_found")
        return web.json_response({"id": appointment_id, "patient_id": PATIENT})


def _problem(status: int, code: str) -> web.Response:
    body = json.dumps({"status": status, "code": code})
    return web.Response(status=status, text=body, content_type="application/problem+json")


class OpenAppointments:
    """An Appointments port that lets everybody see everything but what is in `hidden`."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()

    async def require_visible(self, appointment_id: str, token: str) -> str:
        if appointment_id in self.hidden:
            raise NotFoundError
        return PATIENT


class MemoryStore:
    """A FileStore in memory. `fail` names the methods that act as if the store were away."""

    def __init__(self) -> None:
        self.indexes: dict[str, bytes] = {}
        self.incoming: dict[str, dict[str, tuple[bytes, str, str]]] = {}
        self.clean: dict[str, dict[str, bytes]] = {}
        self.withdrawn: set[str] = set()
        self.fail: set[str] = set()
        self.conflicts = 0
        """How many saves to come lose a race."""
        self.before: dict[str, Any] = {}
        """A method's name → what is awaited, once, before it does its work."""
        self._versions = 0

    def upload(self, file: File, body: bytes, **lies: str) -> str:
        """What a form's POST does; answers the version."""
        version = self._next_version()
        stored = (
            body,
            lies.get("content_type", file.content_type),
            lies.get("sha256", file.sha256),
        )
        self.incoming.setdefault(file.id, {})[version] = stored
        return version

    def _next_version(self) -> str:
        self._versions += 1
        return f"v{self._versions}"

    async def _enter(self, method: str) -> None:
        hook = self.before.pop(method, None)
        if hook is not None:
            await hook()
        if method in self.fail:
            raise StoreUnavailableError(method)

    async def load_index(self, appointment_id: str) -> StoredIndex:
        await self._enter("load_index")
        document = self.indexes.get(appointment_id)
        if document is None:
            return StoredIndex(Index(appointment_id), None)
        return StoredIndex(decode_index(document), _tag(document))

    async def save_index(self, index: Index, tag: str | None) -> None:
        await self._enter("save_index")
        current = self.indexes.get(index.appointment_id)
        if self.conflicts:
            self.conflicts -= 1
            raise IndexConflictError
        if tag != (None if current is None else _tag(current)):
            raise IndexConflictError
        self.indexes[index.appointment_id] = encode_index(index)

    async def sign_upload(self, file: File, lifetime: timedelta) -> UploadForm:
        await self._enter("sign_upload")
        return UploadForm("memory:", {"key": file.id})

    async def find_upload(self, file: File) -> Upload | None:
        await self._enter("find_upload")
        versions = self.incoming.get(file.id)
        if not versions:
            return None
        version, (body, content_type, sha256) = list(versions.items())[-1]
        return Upload(version, len(body), content_type, sha256)

    async def read_upload(self, file: File, version: str) -> AsyncIterator[bytes]:
        await self._enter("read_upload")
        body = self.incoming[file.id][version][0]
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    async def discard_upload(self, file: File, version: str) -> None:
        await self._enter("discard_upload")
        self.incoming[file.id].pop(version, None)

    async def publish(self, file: File, version: str) -> str:
        await self._enter("publish")
        stored = self.incoming[file.id].get(version)
        if stored is None:
            raise NotUploadedError
        published = self._next_version()
        self.clean.setdefault(file.id, {})[published] = stored[0]
        self.withdrawn.discard(file.id)
        return published

    async def is_published(self, file: File) -> bool:
        await self._enter("is_published")
        return bool(self.clean.get(file.id)) and file.id not in self.withdrawn

    async def unpublish(self, file: File, version: str) -> None:
        await self._enter("unpublish")
        del self.clean[file.id][version]

    async def withdraw(self, file: File) -> None:
        await self._enter("withdraw")
        self.withdrawn.add(file.id)

    async def sign_download(self, file: File, disposition: str, lifetime: timedelta) -> str:
        await self._enter("sign_download")
        return f"memory:clean/{file.id}?{disposition}"

    async def erase(self, appointment_id: str) -> bool:
        await self._enter("erase")
        document = self.indexes.pop(appointment_id, None)
        for file_id in decode_index(document).files if document is not None else ():
            self.incoming[file_id] = {}
            self.clean.pop(file_id, None)
        return False

    async def check(self) -> None:
        await self._enter("check")


def _tag(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()
