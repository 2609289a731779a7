"""Runs the service, or one of its commands."""

import argparse
import asyncio
import sys

from appointments_service import __version__
from appointments_service.app import SERVICE, create_app
from appointments_service.routes import OPERATIONS, PROBLEMS
from appointments_service.settings import Settings
from appointments_service.store_dynamodb import create_table
from servicekit.aws import open_client
from servicekit.openapi import openapi_document
from servicekit.runner import run
from servicekit.settings import load_settings


def main() -> None:
    """`serve` by default; `create-table` where there is none; `openapi` prints the document."""
    parser = argparse.ArgumentParser(prog="appointments_service")
    commands = ("serve", "create-table", "openapi")
    parser.add_argument("command", nargs="?", default="serve", choices=commands)
    command = parser.parse_args().command
    if command == "openapi":
        sys.stdout.write(openapi_document(SERVICE, __version__, OPERATIONS, PROBLEMS))
        return
    settings = load_settings(Settings)
    if command == "create-table":
        made = asyncio.run(_create_table(settings))
        sys.stdout.write(f"table {settings.table}: {'made' if made else 'there already'}\n")
        return
    run(lambda: create_app(settings), settings, __version__)


async def _create_table(settings: Settings) -> bool:
    async with open_client(
        "dynamodb", endpoint=settings.dynamodb_endpoint, region=settings.region
    ) as client:
        return await create_table(client, settings.table)


if __name__ == "__main__":
    main()
