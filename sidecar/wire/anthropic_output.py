"""How an answer is to look and how hard to think of it: Anthropic's words and OpenAI's.

`output_config.format` is `response_format` with a schema, `output_config.effort` is
`reasoning_effort`. Anthropic holds every answer to its schema, which is what `strict` asks
for, and has no name for one: that is a label, made up where OpenAI wants it.

The invariant: what is read from the words of one side is written in those of the other or
refused by the name it came under. `minimal` has no like at Anthropic, `json_object` neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain import Json
from sidecar.wire.anthropic_tools import unspeakable

FIELDS: Final = ("response_format", "reasoning_effort")
"""OpenAI's fields that are told here."""

OUTPUT: Final = "output_config"
_SCHEMA: Final = "json_schema"
_SCHEMA_NAME: Final = "answer"
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_OPENAI: Final = "OpenAI's Chat Completions"


def write_output(parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Anthropic's fields for what OpenAI's say, or `InvalidRequestError` naming one of them."""
    config: dict[str, Json] = {}
    form, effort = parameters.get("response_format"), parameters.get("reasoning_effort")
    if form is not None and form != {"type": "text"}:
        config["format"] = _write_format(form)
    if effort in _EFFORTS:
        config["effort"] = effort
    elif effort not in (None, "none"):
        raise unspeakable("reasoning_effort", what=f"reasoning_effort of {_shown(effort)}")
    raw: dict[str, Json] = {OUTPUT: config} if config else {}
    # Newer models think where nothing is said.
    return raw | {"thinking": {"type": "disabled"}} if effort == "none" else raw


def read_output(config: Json) -> dict[str, Json]:
    """OpenAI's fields for an `output_config`, or `InvalidRequestError` naming a part of it."""
    if not isinstance(config, Mapping):
        raise unspeakable(OUTPUT, whose=_OPENAI)
    said = {name: value for name, value in config.items() if value is not None}
    parameters: dict[str, Json] = {}
    for name, value in said.items():
        if name == "format":
            parameters["response_format"] = _read_format(value)
        elif name == "effort" and value in _EFFORTS:
            parameters["reasoning_effort"] = value
        else:
            raise unspeakable(f"{OUTPUT}.{name}", whose=_OPENAI)
    return parameters


def _write_format(form: Json) -> dict[str, Json]:
    told = form.get(_SCHEMA)
    if form.get("type") != _SCHEMA or not isinstance(told, Mapping):
        raise unspeakable("response_format")
    for name in form.keys() - {"type", _SCHEMA}:
        raise unspeakable(f"response_format.{name}")
    place = f"response_format.{_SCHEMA}"
    for name, value in told.items():
        if name not in ("name", "schema", "strict", "description") and value is not None:
            raise unspeakable(f"{place}.{name}")
    if not isinstance(told.get("schema"), Mapping):
        raise unspeakable(f"{place}.schema", what="a json_schema without its schema")
    return {"type": _SCHEMA, "schema": _described(told["schema"], told.get("description"), place)}


def _described(schema: Mapping[str, Json], description: Json, place: str) -> dict[str, Json]:
    """The schema with what was said about it: the model reads it there as well."""
    if description is None:
        return dict(schema)
    if "description" in schema:
        raise unspeakable(f"{place}.description", what="two descriptions of one schema")
    return {"description": description, **schema}


def _read_format(form: Json) -> dict[str, Json]:
    place = f"{OUTPUT}.format"
    if not isinstance(form, Mapping) or form.get("type") != _SCHEMA:
        raise unspeakable(place, whose=_OPENAI)
    for name in form.keys() - {"type", "schema"}:
        raise unspeakable(f"{place}.{name}", whose=_OPENAI)
    if not isinstance(form.get("schema"), Mapping):
        raise unspeakable(f"{place}.schema", what="a format without its schema", whose=_OPENAI)
    schema = {"name": _SCHEMA_NAME, "schema": form["schema"], "strict": True}
    return {"type": _SCHEMA, _SCHEMA: schema}


def _shown(effort: Json) -> str:
    return effort if effort == "minimal" else "another word than Anthropic's"
