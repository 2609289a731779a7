"""What `python -m users_service` does, command by command.

Each returns the exit code: 0, or 2 with one clear line on stderr for what its caller must change.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from users_service import __version__

if TYPE_CHECKING:
    from users_service.service import UseCases
    from users_service.service.rotation import Rotation
    from users_service.settings import UsersSettings

_UNUSABLE = 2
_BREAKS = (
    "it signs at once: for up to 5 minutes a verifier may not have it yet, and refuse its tokens"
    " until it has fetched the key set again\n"
)


def serve() -> int:
    """Serves until SIGTERM."""
    from servicekit.runner import run
    from servicekit.settings import load_settings
    from users_service.app import create_app
    from users_service.errors import SealingKeyUnavailableError, UnreadableKeyError
    from users_service.settings import UsersSettings

    settings = load_settings(UsersSettings)
    try:
        run(lambda: create_app(settings), settings, __version__)
    except (UnreadableKeyError, SealingKeyUnavailableError) as error:
        return _refuse(str(error))
    return 0


def print_openapi() -> int:
    """Prints the OpenAPI document; needs neither settings nor a database."""
    from servicekit.openapi import openapi_document
    from users_service.routes import OPERATIONS, PROBLEMS

    sys.stdout.write(openapi_document("users", __version__, OPERATIONS, PROBLEMS))
    return 0


def verify_sender() -> int:
    """Asks SES to take the sender for ours; an emulator just does."""
    from servicekit.mail import MailUnavailableError
    from servicekit.settings import load_settings
    from users_service.settings import UsersSettings

    settings = load_settings(UsersSettings)
    if settings.mail == "off":
        return _refuse("USERS_MAIL is off")
    try:
        asyncio.run(_verify_sender(settings))
    except MailUnavailableError as error:
        return _refuse(str(error))
    return 0


async def _verify_sender(settings: "UsersSettings") -> None:
    from servicekit.mail_ses import open_ses

    async with open_ses(
        sender=settings.mail_from, region=settings.region, endpoint=settings.ses_endpoint
    ) as mailer:
        await mailer.verify_sender()


def prepare(chosen: argparse.Namespace) -> int:
    """Runs a command that changes the database."""
    from servicekit.settings import load_settings
    from users_service.errors import UsersError
    from users_service.settings import UsersSettings

    settings = load_settings(UsersSettings)
    try:
        asyncio.run(_prepare(settings, chosen))
    except (UsersError, OSError, ValueError) as error:
        return _refuse(str(error))
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"users_service: {reason}\n")
    return _UNUSABLE


async def _prepare(settings: "UsersSettings", chosen: argparse.Namespace) -> None:
    from users_service.app import (
        migrate_database,
        now_utc,
        open_configured_store,
        open_use_cases,
    )

    if chosen.command in ("migrate", "init"):
        await migrate_database(settings)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_configured_store(settings))
        use_cases = await stack.enter_async_context(open_use_cases(settings, store, now_utc))
        if chosen.command in ("migrate", "init"):
            await use_cases.keys.ensure()
        if chosen.command == "create-admin":
            await _create_admin(use_cases, chosen.email, chosen.name, sys.stdin.read())
        if chosen.command == "remove-second-factor":
            await use_cases.factors.remove_at(chosen.email)
            sys.stdout.write("second factor: removed\n")
        if chosen.command == "register-service":
            await _register(use_cases, [(chosen.name, chosen.public_key_file, chosen.scope)])
        if chosen.command == "init":
            password = _read(chosen.admin_password_file)
            await _create_admin(use_cases, chosen.admin_email, chosen.admin_name, password)
            await _register(use_cases, chosen.service)
        if chosen.command == "keys":
            await _change_keys(use_cases.rotation, chosen)


async def _change_keys(rotation: "Rotation", chosen: argparse.Namespace) -> None:
    if chosen.action == "rotate":
        made = await rotation.rotate(at_once=chosen.now)
        sys.stdout.write(f"published: {made.key_id}, signs from {_moment(made.signs_from)}\n")
        if chosen.now:
            sys.stdout.write(_BREAKS)
    if chosen.action == "retire":
        key = await rotation.retire(chosen.kid)
        sys.stdout.write(f"retired: {key.key_id}\n")
    if chosen.action == "reseal":
        sys.stdout.write(f"resealed: {await rotation.reseal()}\n")
    if chosen.action == "list":
        row = "{:<16}  {:>10}  {:<9}  {:<20}  {}\n".format
        sys.stdout.write(row("kid", "generation", "state", "signs from", "retired at"))
        for listed in await rotation.list():
            key, retired = listed.key, listed.key.retired_at
            times = (_moment(key.signs_from), _moment(retired) if retired else "-")
            sys.stdout.write(row(key.key_id, key.generation, listed.state, *times))


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


async def _create_admin(use_cases: "UseCases", email: str, name: str, password: str) -> None:
    from users_service.domain.users import Role, check_email, check_line
    from users_service.service.accounts import NewAccount

    new = NewAccount(
        email=check_email(email),
        password=password.rstrip("\r\n"),  # of the line, not of the password
        full_name=check_line(name),
        role=Role.ADMIN,
    )
    created = await use_cases.accounts.ensure(new)
    # Without the address: where this is run at every start, what it prints is a log.
    sys.stdout.write(f"admin: {'created' if created else 'left alone'}\n")


async def _register(use_cases: "UseCases", services: Sequence[tuple[str, str, str]]) -> None:
    for name, file, scope in services:
        await use_cases.clients.register(name, frozenset(scope.split()), _read(file))
        sys.stdout.write(f"registered: {name}\n")


def _read(file: str) -> str:
    return Path(file).read_text()
