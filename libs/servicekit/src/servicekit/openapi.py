"""The OpenAPI 3.1 document of a service, made from its operations."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from servicekit.auth import Access
from servicekit.operations import AnyOperation
from servicekit.problems import (
    BAD_HEADER,
    FORBIDDEN,
    INVALID_TOKEN,
    MALFORMED_JSON,
    NOT_FOUND,
    PROBLEM_JSON,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
    Problem,
)
from servicekit.wire import ID_PATTERN, NoQuery

# A model in its mode ("validation", "serialization") → the reference to its schema.
References = Mapping[tuple[Any, str], Any]

_REF = "#/components/schemas/{model}"
_parameters_of = re.compile(r"\{(\w+)[^}]*\}").findall

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, with a stable code to program against.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def openapi_document(
    service: str,
    version: str,
    operations: Sequence[AnyOperation],
    problems: Mapping[type[Exception], Problem],
) -> str:
    """The document as JSON text, stable from run to run."""
    schemas, references = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", operation.path)
        item = paths.setdefault(path, {})
        item[operation.method.lower()] = _operation(service, operation, problems, references)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": f"Smart Appointment Analytics Platform: {service}",
            "version": version,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _schemas(
    operations: Sequence[AnyOperation],
) -> tuple[dict[str, Any], References]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {}
    for operation in operations:
        if operation.takes_body:
            wanted[operation.body, "validation"] = None
        for model in operation.answers.values():
            if model is not None:
                wanted[model, "serialization"] = None
    references, definitions = models_json_schema(list(wanted), ref_template=_REF)
    named: dict[tuple[Any, str], Any] = {
        (model, mode): schema for (model, mode), schema in references.items()
    }
    components = dict(definitions.get("$defs", {}))
    for operation in operations:
        # A query's model is taken apart into parameters: only what those refer to is a schema.
        components |= _query_schema(operation).get("$defs", {})
    return components, named


def _operation(
    service: str,
    operation: AnyOperation,
    problems: Mapping[type[Exception], Problem],
    references: References,
) -> dict[str, Any]:
    name = getattr(operation.handler, "__name__", operation.summary)
    item: dict[str, Any] = {
        "operationId": f"{service}_{name}",
        "summary": operation.summary,
        "description": " ".join(filter(None, (operation.description, _who(operation.access)))),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": _answers(operation, references) | _refusals(operation, problems),
    }
    if _changes_a_version(operation):
        item["parameters"].append(_header("If-Match", "change only this version"))
    if operation.idempotent:
        item["parameters"].append(_header("Idempotency-Key", "1 to 255 visible ASCII characters"))
    if operation.takes_body:
        item["requestBody"] = {
            "required": not operation.body_may_be_empty,
            "content": {"application/json": {"schema": references[operation.body, "validation"]}},
        }
    if operation.access.caller == "required":
        item["security"] = [{"bearer": []}]
    elif operation.access.caller == "optional":
        item["security"] = [{}, {"bearer": []}]
    else:
        item["security"] = []
    return item


def _changes_a_version(operation: AnyOperation) -> bool:
    """Whether it changes a thing that has versions; a new thing (no id in the path) has none."""
    changes = operation.method != "GET" and bool(_parameters_of(operation.path))
    return operation.versioned and changes


def _who(access: Access) -> str:
    if access.scope:
        who = f"a service with the scope {access.scope}"
    elif access.caller == "required":
        who = ", ".join(sorted(access.roles))
    else:
        who = "anyone"
    return f"Who: {who}" + (f" ({access.note})." if access.note else ".")


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


def _path_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    def schema(name: str) -> dict[str, Any]:
        if name.endswith("date"):
            return {"type": "string", "format": "date"}
        return {"type": "string", "pattern": ID_PATTERN}

    names: list[str] = _parameters_of(operation.path)
    return [{"name": n, "in": "path", "required": True, "schema": schema(n)} for n in names]


def _query_parameters(operation: AnyOperation) -> list[dict[str, Any]]:
    if operation.query is NoQuery:
        return []
    schema = _query_schema(operation)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _flat(field)}
        for name, field in schema["properties"].items()
    ]


def _query_schema(operation: AnyOperation) -> dict[str, Any]:
    schema: dict[str, Any] = operation.query.model_json_schema(ref_template=_REF)
    return schema


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key not in ("title", "default")}


def _answers(operation: AnyOperation, references: References) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, model in operation.answers.items():
        described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        media_type = operation.media_types.get(status)
        if model is not None:
            schema = references[model, "serialization"]
            described["content"] = {media_type or "application/json": {"schema": schema}}
        elif media_type is not None:
            described["content"] = {media_type: {}}
        if operation.versioned and model is not None:
            described["headers"] = {"ETag": {"schema": {"type": "string"}}}
        answers[str(status)] = described
    return answers


def _refusals(
    operation: AnyOperation, problems: Mapping[type[Exception], Problem]
) -> dict[str, Any]:
    listed = [problems[kind] for kind in operation.problems]
    if operation.access.caller == "required":
        listed += [INVALID_TOKEN, FORBIDDEN]
    if operation.takes_body:
        listed += [MALFORMED_JSON, UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED]
    if operation.query is not NoQuery:
        listed.append(VALIDATION_FAILED)
    if _parameters_of(operation.path):
        listed.append(NOT_FOUND)
    if _changes_a_version(operation):
        listed += [BAD_HEADER, VERSION_MISMATCH]
    by_status: dict[int, list[str]] = {}
    for problem in listed:
        codes = by_status.setdefault(problem.status, [])
        if problem.code not in codes:
            codes.append(problem.code)
    schema = {"$ref": _REF.format(model="Problem")}
    return {
        str(status): {
            "description": " · ".join(codes),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status, codes in sorted(by_status.items())
    }
