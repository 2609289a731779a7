"""`python -m users_service`: serves, or does one of the commands that prepare a database."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; what it needs is imported then, so that each starts quickly."""
    chosen = _parser().parse_args(arguments)
    if chosen.command is None:
        from users_service.commands import serve

        return serve()
    if chosen.command == "openapi":
        from users_service.commands import print_openapi

        return print_openapi()
    if chosen.command == "verify-sender":
        from users_service.commands import verify_sender

        return verify_sender()
    from users_service.commands import prepare

    return prepare(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="users_service", description=__doc__)
    commands = parser.add_subparsers(dest="command", title="commands (none: serve)")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("migrate", help="bring the database to the newest revision")
    commands.add_parser(
        "verify-sender", help="have SES take USERS_MAIL_FROM for ours: it mails a link there"
    )
    admin = commands.add_parser(
        "create-admin", help="create an admin, password from stdin; an existing account stays"
    )
    admin.add_argument("--email", required=True)
    admin.add_argument("--name", required=True)
    factor = commands.add_parser(
        "remove-second-factor", help="for an admin who lost both device and recovery codes"
    )
    factor.add_argument("--email", required=True)
    service = commands.add_parser("register-service", help="register a service and its public key")
    service.add_argument("--name", required=True)
    service.add_argument("--scope", required=True, help="words, separated by spaces")
    service.add_argument("--public-key-file", required=True, metavar="PEM")
    _add_keys(
        commands.add_parser("keys", help="list, rotate and retire the signing keys, reseal secrets")
    )
    init = commands.add_parser("init", help="all of these at once")
    init.add_argument("--admin-email", required=True)
    init.add_argument("--admin-name", required=True)
    init.add_argument("--admin-password-file", required=True, metavar="FILE")
    init.add_argument(
        "--service", action="append", default=[], metavar="NAME=PEMFILE=SCOPE", type=_service
    )
    return parser


def _add_keys(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="print every key, its state and its times")
    rotate = actions.add_parser("rotate", help="publish the next key, which signs a little later")
    rotate.add_argument(
        "--now",
        action="store_true",
        help="it signs at once: verifiers refuse its tokens for up to 5 minutes",
    )
    retire = actions.add_parser("retire", help="take out a key: tokens that it signed are refused")
    retire.add_argument("kid")
    actions.add_parser("reseal", help="seal all secrets with USERS_SEALING_KEY")


def _service(text: str) -> tuple[str, str, str]:
    name, _, rest = text.partition("=")
    file, _, scope = rest.rpartition("=")
    if not (name and file and scope):
        raise argparse.ArgumentTypeError("must be NAME=PEMFILE=SCOPE")
    return name, file, scope


if __name__ == "__main__":
    sys.exit(main())
