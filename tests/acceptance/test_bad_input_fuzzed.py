"""Arbitrary requests, made from the description and from nothing: an answer or a reason, always."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .running import Reply, Sidecar, send
from .test_openapi import DESCRIPTION

FUZZED = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
SCHEMA.config.generation.update(
    modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE],
    allow_extra_parameters=False,  # headers that nobody knows are no mistake
)

IMPATIENT = {str(number) for number in range(1, 10_000)}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELD_NAMES = st.sampled_from(
    sorted(DESCRIPTION["components"]["schemas"]["ChatRequest"]["properties"])
)


@SCHEMA.include(path_regex="^/v1/").parametrize()
@FUZZED
def test_the_data_plane_answers_what_the_description_allows_and_forbids(
    shared_sidecar: Sidecar, case: Case
) -> None:
    """Never with a 5xx; what it forbids is refused; every reply is as described."""
    if isinstance(case.body, dict) and _is_name(case.body.get("model")):
        case.body["model"] = "gpt-4o"  # else nearly all end at a model that is not there
    if str(case.headers.get("x-sidecar-timeout-ms", "")) in IMPATIENT:
        case.headers["x-sidecar-timeout-ms"] = "60000"  # else 504 is the right answer
    case.call_and_validate(base_url=shared_sidecar.url.removesuffix("/v1"), checks=CHECKS)


@SCHEMA.include(path_regex="^/(?!v1/)").parametrize()
@FUZZED
def test_the_admin_plane_answers_what_the_description_allows_and_forbids(
    shared_sidecar: Sidecar, case: Case
) -> None:
    """The same."""
    case.call_and_validate(base_url=shared_sidecar.admin_url, checks=CHECKS)


def assert_answered_or_refused(reply: Reply) -> None:
    """200, or a refusal with a reason."""
    if reply.status != 200:
        assert reply.status in (400, 404), reply.body
        assert reply.json["error"]["message"]


@FUZZED
@given(body=ANY_JSON)
def test_arbitrary_json_is_refused_with_a_reason(shared_sidecar: Sidecar, body: Any) -> None:
    """None of it is a request, and none of it is answered with anything but a 400."""
    reply = shared_sidecar.post(json.dumps(body).encode())
    assert reply.status == 400, reply.body
    assert reply.json["error"]["message"]


@FUZZED
@given(fields=st.dictionaries(FIELD_NAMES, ANY_JSON, max_size=3))
def test_arbitrary_values_of_known_fields_get_an_answer_or_a_reason(
    shared_sidecar: Sidecar, fields: dict[str, Any]
) -> None:
    """Around a good question."""
    assert_answered_or_refused(shared_sidecar.ask("What is it?", **fields))


@FUZZED
@given(extra=st.dictionaries(st.text(min_size=1), ANY_JSON, max_size=3))
def test_arbitrary_unknown_fields_get_an_answer_or_a_reason(
    shared_sidecar: Sidecar, extra: dict[str, Any]
) -> None:
    """They are passed on, so they must also be written again and keyed."""
    assert_answered_or_refused(shared_sidecar.post({**_question(), **extra}))


@FUZZED
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_a_reason(shared_sidecar: Sidecar, body: bytes) -> None:
    """Sent as JSON."""
    reply = shared_sidecar.post(body)
    assert reply.status == 400, reply.body
    assert reply.json["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("path", ["/api/purge", "/api/mode"])
@FUZZED
@given(body=ANY_JSON)
def test_arbitrary_json_changes_nothing_on_the_admin_plane(
    shared_sidecar: Sidecar, path: str, body: Any
) -> None:
    """It is refused."""
    method = "PUT" if path == "/api/mode" else "POST"
    reply = send(method, f"{shared_sidecar.admin_url}{path}", json.dumps(body).encode())
    assert reply.status == 400, reply.body


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _question() -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is it?"}]}
