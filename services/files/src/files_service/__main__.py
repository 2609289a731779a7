"""`python -m files_service [create-bucket | openapi]`: serves, or does one of these and ends."""

import argparse
import asyncio
import sys

from files_service import __version__
from files_service.app import create_app
from files_service.bucket import create_bucket
from files_service.errors import StoreUnavailableError
from files_service.routes import OPERATIONS, PROBLEMS
from files_service.settings import Settings
from servicekit.openapi import openapi_document
from servicekit.runner import run
from servicekit.settings import load_settings


def main() -> None:
    """Reads settings and runs what is asked for."""
    parser = argparse.ArgumentParser(prog="files_service")
    parser.add_argument(
        "command", nargs="?", choices=("serve", "create-bucket", "openapi"), default="serve"
    )
    command = parser.parse_args().command
    if command == "openapi":
        sys.stdout.write(openapi_document("files", __version__, OPERATIONS, PROBLEMS))
        return
    settings = load_settings(Settings)
    if command == "create-bucket":
        try:
            asyncio.run(create_bucket(settings))
        except StoreUnavailableError as error:
            sys.stderr.write(f"the bucket could not be made: {error}\n")
            raise SystemExit(1) from None
        return
    run(lambda: create_app(settings), settings, __version__)


if __name__ == "__main__":
    main()
