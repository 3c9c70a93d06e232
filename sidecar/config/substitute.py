"""`${VAR}` and `${VAR:-default}` in a text. Pure: the environment is an argument.

As in a shell, `:-` also stands in for a variable that is empty. What was put in is not
looked at again. `$${` is a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-)([^${}]*))?\}|\$\{", re.ASCII)
_HOW = "expected ${VAR} or ${VAR:-default} (write $${ for a literal ${)"


_PLAIN_TOKEN = re.compile(r"""(?<!\$)\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^${}"'\n]*)?\}""", re.ASCII)
_SEAL = re.compile("\ue000([0-9]{1,7})\ue001", re.ASCII)


@dataclass(slots=True)
class Substitution:
    """The text with values put in.

    `used` names the variables; `whole_default` is true where the text was nothing but
    one substitution and its default was taken.
    """

    text: str = ""
    used: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole_default: bool = False


def seal(text: str) -> tuple[str, list[str]]:
    """The text with each `${…}` as a word that YAML takes for plain text, and what they were.

    Without this `{api_key: ${KEY}}` would be no YAML, since a brace ends a word there.
    """
    tokens: list[str] = []

    def word(token: re.Match[str]) -> str:
        tokens.append(token[0])
        return f"\ue000{len(tokens) - 1}\ue001"

    return _PLAIN_TOKEN.sub(word, text), tokens


def unseal(text: str, tokens: list[str]) -> str:
    """The text with its `${…}` back."""
    return _SEAL.sub(lambda seal: tokens[int(seal[1])] if int(seal[1]) < len(tokens) else "", text)


def substitute(text: str, environ: Mapping[str, str]) -> Substitution:
    """Put values in; a missing variable and a malformed `${` are problems."""
    result = Substitution()
    result.text = _TOKEN.sub(lambda token: _value(token, environ, result), text)
    return result


def _value(token: re.Match[str], environ: Mapping[str, str], result: Substitution) -> str:
    if token[0] == "$${":
        return "${"
    name, has_default, default = token[1], token[2], token[3]
    if name is None:
        result.problems.append(_HOW)
        return ""
    result.used.append(f"${{{name}}}")
    value = environ.get(name)
    if has_default and not value:
        result.whole_default = token[0] == token.string
        return str(default)
    if value is None:
        result.problems.append(
            f"the environment variable {name} is not set (give it, or write ${{{name}:-default}})"
        )
    return value or ""
