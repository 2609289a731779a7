"""How a query's parameters come into the document."""

import json
from enum import StrEnum

from aiohttp import web
from openapi_spec_validator import validate

from servicekit.auth import anyone
from servicekit.openapi import openapi_document
from servicekit.operations import Call, Operation, no_content
from servicekit.wire import Nothing, Query


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Paint(Query):
    colour: Colour | None = None


async def get_paint(_call: Call[Nothing, Paint]) -> web.Response:
    return no_content()


def test_what_a_parameter_refers_to_is_there() -> None:
    operation = Operation(
        method="GET",
        path="/v1/paint",
        handler=get_paint,
        access=anyone(),
        summary="Paint",
        query=Paint,
        answers={204: None},
    )
    document = json.loads(openapi_document("test", "1", [operation], {}))
    validate(document)
    [parameter] = document["paths"]["/v1/paint"]["get"]["parameters"]
    assert {"$ref": "#/components/schemas/Colour"} in parameter["schema"]["anyOf"]
    assert document["components"]["schemas"]["Colour"]["enum"] == ["red", "blue"]
    assert "Paint" not in document["components"]["schemas"]
