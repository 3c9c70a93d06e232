"""README is a promise: what it lists is what the code knows."""

from __future__ import annotations

import re
from pathlib import Path

from sidecar.reasons import HELP

README = Path(__file__).parent.parent / "README.md"


def reasons_table() -> str:
    """The table of reason words as README shows it."""
    rows = (f"| `{reason.value}` | {meaning} |" for reason, meaning in HELP.items())
    return "\n".join(("| word | why |", "|---|---|", *rows))


def test_readme_lists_every_reason_word_with_its_meaning() -> None:
    """The table between the markers is the one made from `HELP`, word for word."""
    shown = re.search(
        r"<!-- reasons: begin -->\n(.*?)\n<!-- reasons: end -->", README.read_text(), re.S
    )
    assert shown is not None
    assert shown.group(1) == reasons_table(), f"put this between the markers:\n{reasons_table()}"
