"""One handler an operation: parse, call the service, answer."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from files_service.schemas import (
    DownloadFile,
    Erased,
    File,
    FileCreate,
    FileCreated,
    FileDownload,
    FilePage,
    ListFiles,
)
from files_service.service import Files, Told
from servicekit.audit import audit_read
from servicekit.operations import Call, answer, etag, no_content
from servicekit.paging import decode_cursor, encode_cursor
from servicekit.problems import BAD_CURSOR, ProblemError
from servicekit.wire import NoQuery, Nothing

FILES = web.AppKey("files", Files)

# What is signed is as good as the file itself while it lasts, and belongs in no cache.


async def create_file(call: Call[FileCreate, NoQuery]) -> web.StreamResponse:
    """Announces a file and answers the form to upload it with."""
    announced = await call.request.app[FILES].announce(call.caller, call.body.announcement())
    headers = etag(announced.file.version)
    return answer(FileCreated.of(announced), status=HTTPStatus.CREATED, headers=headers)


async def complete_file(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    """Has what was uploaded verified."""
    file = await call.request.app[FILES].complete(
        call.caller, call.path["appointment_id"], call.path["file_id"], call.if_match
    )
    return answer(File.of(file), headers=etag(file.version))


async def list_files(call: Call[Nothing, ListFiles]) -> web.StreamResponse:
    """A page of an appointment's files; the position in it is the last one's id."""
    name = f"files {call.query.appointment_id}"
    after = decode_cursor(name, call.query.cursor)
    if after is not None and not isinstance(after, str):
        raise ProblemError(BAD_CURSOR)  # made by somebody who knows how, and not by us
    files = await call.request.app[FILES].list_available(
        call.caller, call.query.appointment_id, _audited(call)
    )
    rest = [file for file in files if after is None or file.id > after]
    page = rest[: call.query.limit]
    more = len(rest) > len(page)
    cursor = encode_cursor(name, page[-1].id) if more else None
    return answer(FilePage(items=[File.of(file) for file in page], next_cursor=cursor))


async def get_file(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    """One file's description."""
    file = await call.request.app[FILES].read(
        call.caller, call.path["appointment_id"], call.path["file_id"], _audited(call)
    )
    return answer(File.of(file), headers=etag(file.version))


async def download_file(call: Call[Nothing, DownloadFile]) -> web.StreamResponse:
    """A URL to read the file by, or a redirect to it."""
    download = await call.request.app[FILES].download(
        call.caller, call.path["appointment_id"], call.path["file_id"], _audited(call)
    )
    if call.query.redirect:
        headers = {"Location": download.url}
        return web.Response(status=HTTPStatus.FOUND, headers=headers)
    return answer(FileDownload.of(download))


async def delete_file(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    """Ends a file."""
    await call.request.app[FILES].delete(
        call.caller, call.path["appointment_id"], call.path["file_id"], call.if_match
    )
    return no_content()


def _audited(call: Call[Any, Any]) -> Told:
    return lambda patient_id: audit_read(call, [patient_id])


async def erase_files(call: Call[Nothing, NoQuery]) -> web.StreamResponse:
    """Deletes some of all that there is of an appointment."""
    remaining = await call.request.app[FILES].erase(call.path["appointment_id"])
    return answer(Erased(remaining=remaining))
