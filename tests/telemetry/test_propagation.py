"""Names of traces: what is taken from others, and what load balancers call them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.propagation import (
    is_traceparent,
    new_traceparent,
    trace_id_of,
    trace_id_of_root,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_the_example_of_the_recommendation() -> None:
    text = f"00-{TRACE}-{SPAN}-01"
    assert is_traceparent(text)
    assert trace_id_of(text) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"01-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-x",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_names_no_trace(text: str) -> None:
    assert not is_traceparent(text)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert not is_traceparent(text)
    assert trace_id_of_root(text) is None


def test_new_ones_are_well_formed_and_of_nobody_else() -> None:
    made = {new_traceparent() for _ in range(100)}
    assert len({trace_id_of(text) for text in made}) == 100
    assert all(is_traceparent(text) and text.endswith("-00") for text in made)
    assert trace_id_of(new_traceparent(TRACE)) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Self=1-67891234-12456789abcdef012345678;Root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "Self=x; Root=1-5759e988-bd862e3fe1be46a994272793 ;CalledFrom=app",
    ],
)
def test_a_load_balancers_root_is_a_trace(header: str) -> None:
    assert trace_id_of_root(header) == "5759e988bd862e3fe1be46a994272793"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Self=1-5759e988-bd862e3fe1be46a994272793",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759E988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a9942727931",
        "NotRoot=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-00000000-000000000000000000000000",
    ],
)
def test_what_has_no_root_names_none(header: str) -> None:
    assert trace_id_of_root(header) is None
