"""The document that operations make: valid, complete, the same each time."""

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from servicekit.openapi import openapi_document
from tests.servicekit.conftest import OPERATIONS, PROBLEMS, Kit


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(openapi_document("test", "1", OPERATIONS, PROBLEMS))
    return made


def test_it_is_valid_and_stable(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    again = openapi_document("test", "1", OPERATIONS, PROBLEMS)
    assert json.loads(again) == document
    assert again == openapi_document("test", "1", OPERATIONS, PROBLEMS)


def test_every_operation_is_there_once_with_its_rule(document: dict[str, Any]) -> None:
    listed = {(path, m) for path, item in document["paths"].items() for m in item}
    assert listed == {(one.path, one.method.lower()) for one in OPERATIONS}
    names = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(names) == len(set(names))
    touch = document["paths"]["/v1/things/{id}/touch"]["post"]
    assert touch["security"] == [{"bearer": []}]
    assert "admin, doctor" in touch["description"]
    assert {"If-Match", "Idempotency-Key"} <= {one["name"] for one in touch["parameters"]}
    assert set(touch["responses"]) >= {"200", "400", "401", "403", "404", "412"}
    look = document["paths"]["/v1/things/{id}"]["get"]
    assert look["security"] == [{}, {"bearer": []}]
    assert document["paths"]["/v1/notes"]["post"]["security"] == []


def test_bodies_say_whether_they_are_needed(document: dict[str, Any]) -> None:
    def body(path: str) -> dict[str, Any]:
        found: dict[str, Any] = document["paths"][path]["post"]["requestBody"]
        return found

    assert body("/v1/things")["required"] is True
    assert body("/v1/notes")["required"] is False
    assert "requestBody" not in document["paths"]["/v1/things/{id}/touch"]["post"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert references
    assert references <= set(document["components"]["schemas"])


async def test_the_service_serves_its_own(kit: Kit, document: dict[str, Any]) -> None:
    response = await kit.client.get("/v1/openapi/test.json")
    assert (response.status, response.content_type) == (200, "application/json")
    assert await response.json() == document
