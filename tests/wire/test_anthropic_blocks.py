"""System messages that stand among the turns of an Anthropic conversation."""

from __future__ import annotations

import pytest

from .messages import HELLO, parse, sent


def test_a_system_message_among_the_turns_stays_there():
    """It is not the system prompt, and its place says from when on it holds."""
    late = {"role": "system", "content": "Be brief"}
    messages = parse(system="Be kind", messages=[HELLO, late, HELLO]).messages
    assert [message.role for message in messages] == ["system", "user", "system", "user"]
    assert sent(system="Be kind", messages=[HELLO, late, late, HELLO])["messages"] == [
        HELLO,
        late,
        late,
        HELLO,
    ]


@pytest.mark.parametrize(
    "late",
    [
        {"role": "system", "content": "Be brief", "clear_at": "next_user_message"},
        {"role": "system", "output_config": {"effort": "low"}},
        {"role": "system", "content": [{"type": "tool_removal", "name": "f"}]},
    ],
)
def test_what_a_system_message_holds_beside_its_words_goes_on(late):
    """Anthropic takes it there, and a key of ours can't move it."""
    assert sent(messages=[HELLO, late, HELLO])["messages"] == [HELLO, late, HELLO]
    moved = sent(messages=[HELLO, {**late, "anthropic_turn": False}])
    assert moved["messages"] == [HELLO, late]
    assert "system" not in moved
