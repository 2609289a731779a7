"""What the services' OpenAPI documents say, as far as tests send requests by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "put", "post", "patch", "delete")

# Where a value stands in a body: names of members and numbers of items.
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Operation:
    """One operation of a document."""

    document: dict[str, Any]
    path: str
    method: str
    item: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def takes_token(self) -> bool:
        return bool(self.item["security"])

    @property
    def needs_token(self) -> bool:
        return bool(self.item["security"] == [{"bearer": []}])

    @property
    def is_for_services(self) -> bool:
        """Whether people are refused, whoever they are."""
        return "Who: a service" in self.item["description"]

    @property
    def is_for_patients(self) -> bool:
        """Whether other people are refused, the staff too."""
        return re.search(r"Who: patient( \(.*\))?\.$", self.item["description"]) is not None

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.item

    @property
    def body_may_be_empty(self) -> bool:
        required: bool = self.item["requestBody"]["required"]
        return not required

    def parameters(self, place: str) -> list[str]:
        return [one["name"] for one in self.item["parameters"] if one["in"] == place]

    def fields(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Every field of the body that has no fields itself: its place and its schema.

        Of a list, the first item stands for all; of an object with free names, `*` for each.
        """
        schema = self.item["requestBody"]["content"]["application/json"]["schema"]
        yield from _leaves(self.document, schema, ())

    def types(self, schema: dict[str, Any]) -> set[str]:
        """The JSON types that a field may have."""
        return {one["type"] for one in _choices(self.document, schema)}

    def text_fields(self) -> list[Place]:
        return [place for place, schema in self.fields() if "string" in self.types(schema)]


def operations(documents: dict[str, Any]) -> list[Operation]:
    """All operations of all documents."""
    found = []
    for document in documents.values():
        for path, item in document["paths"].items():
            found += [
                Operation(document, path, method.upper(), item[method])
                for method in METHODS
                if method in item
            ]
    return found


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _choices(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    schema = _resolve(document, schema)
    if "anyOf" not in schema:
        return [schema]
    return [choice for one in schema["anyOf"] for choice in _choices(document, one)]


def _leaves(
    document: dict[str, Any], schema: dict[str, Any], place: Place
) -> Iterator[tuple[Place, dict[str, Any]]]:
    for choice in _choices(document, schema):
        if "properties" in choice:
            for name, field in choice["properties"].items():
                yield from _leaves(document, field, (*place, name))
            return
        if isinstance(choice.get("additionalProperties"), dict):
            yield from _leaves(document, choice["additionalProperties"], (*place, "*"))
            return
        if choice.get("type") == "array":
            yield from _leaves(document, choice["items"], (*place, 0))
            return
    yield place, schema
