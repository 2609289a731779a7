"""The use cases: what the service does, told in the domain's words."""

from dataclasses import dataclass

from users_service.service.accounts import Accounts, Directory
from users_service.service.audit import Audit
from users_service.service.clients import Clients
from users_service.service.closing import Closing
from users_service.service.keys import KeyRing
from users_service.service.lines import Line
from users_service.service.password_changes import PasswordChanges
from users_service.service.registrations import Registrations
from users_service.service.rotation import Rotation
from users_service.service.second_factors import SecondFactors
from users_service.service.sessions import Sessions
from users_service.service.tokens import TokenIssuer


@dataclass(frozen=True, slots=True)
class UseCases:
    """All of them, as they are put together for one process."""

    accounts: Accounts
    directory: Directory
    sessions: Sessions
    factors: SecondFactors
    clients: Clients
    keys: KeyRing
    rotation: Rotation
    line: Line
    audit: Audit
    closing: Closing
    tokens: TokenIssuer
    password_changes: PasswordChanges
    registrations: Registrations
