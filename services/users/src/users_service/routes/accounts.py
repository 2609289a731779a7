"""Accounts."""

from collections.abc import Sequence
from typing import Final

from servicekit.auth import people, services
from servicekit.operations import AnyOperation, Operation
from users_service import errors, schemas
from users_service.handlers import accounts
from users_service.routes.access import OWN_OR_ENROLLING
from users_service.routes.problems import DATABASE

OPERATIONS: Final[Sequence[AnyOperation]] = (
    Operation(
        method="GET",
        path="/v1/users/me",
        handler=accounts.get_own_account,
        access=OWN_OR_ENROLLING,
        summary="The caller's own account",
        answers={200: schemas.User},
        problems=DATABASE,
        versioned=True,
    ),
    Operation(
        method="PATCH",
        path="/v1/users/me",
        handler=accounts.change_own_account,
        access=people(),
        summary="Change the caller's own account",
        body=schemas.OwnPatch,
        answers={200: schemas.User},
        problems=DATABASE,
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/v1/users",
        handler=accounts.list_users,
        access=people("admin"),
        summary="All accounts",
        query=schemas.UsersQuery,
        answers={200: schemas.UserPage},
        problems=DATABASE,
    ),
    Operation(
        method="POST",
        path="/v1/users",
        handler=accounts.create_user,
        access=people("admin"),
        summary="Make an account of any role",
        body=schemas.NewUser,
        answers={201: schemas.User},
        problems=(
            errors.EmailTakenError,
            errors.WeakPasswordError,
            errors.TooBusyError,
            *DATABASE,
        ),
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}",
        handler=accounts.get_user,
        access=people(note="admins, the account's own; doctors see a patient's id and name"),
        summary="An account",
        answers={200: schemas.UserOrName},
        problems=DATABASE,
        versioned=True,
    ),
    Operation(
        method="PATCH",
        path="/v1/users/{id}",
        handler=accounts.change_user,
        access=people(note="admins, and the account's own but for role and status"),
        summary="Change an account",
        body=schemas.UserPatch,
        answers={200: schemas.User},
        problems=(errors.LastAdminError, *DATABASE),
        versioned=True,
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}/contact",
        handler=accounts.get_contact,
        access=services("contact:read"),
        summary="How to reach a person",
        answers={200: schemas.Contact},
        problems=DATABASE,
    ),
    Operation(
        method="GET",
        path="/v1/users/{id}/name",
        handler=accounts.get_name,
        access=services("names:read"),
        summary="Who a person is",
        answers={200: schemas.Identity},
        problems=DATABASE,
    ),
)
