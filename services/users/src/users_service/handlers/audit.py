"""The audit log."""

from aiohttp import web

from servicekit.operations import Call, answer
from servicekit.wire import Nothing
from users_service import schemas
from users_service.domain.audit import Entry
from users_service.handlers.common import after_of, origin_of, page_of, use_cases
from users_service.store import AuditFilter


async def list_audit(call: Call[Nothing, schemas.AuditQuery]) -> web.Response:
    """GET /v1/users/audit."""
    query = call.query
    chosen = AuditFilter(query.actor_id, query.subject_id, query.action, query.from_, query.to)
    name = f"audit:{chosen}"
    before = after_of(name, query.cursor)
    audit = use_cases(call).audit
    found = await audit.list(chosen, before, query.limit + 1, origin_of(call))
    page, cursor = page_of(name, list(found), query.limit)
    items = [_of_entry(entry) for entry in page]
    return answer(schemas.AuditPage(items=items, next_cursor=cursor))


def _of_entry(entry: Entry) -> schemas.AuditEntry:
    origin = entry.origin
    # Nothing to validate: it is ours.
    return schemas.AuditEntry.model_construct(
        id=entry.id,
        at=entry.at,
        action=entry.action,
        outcome=entry.outcome,
        actor_id=origin.actor_id,
        actor_role=origin.actor_role,
        subject_id=entry.subject_id,
        address=origin.address,
        request_id=origin.request_id,
        details=entry.details,
    )
