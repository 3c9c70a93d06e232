"""The frozen data that every room speaks in."""

from sidecar.domain import NOTHING, Attachment, Choice, Delta, Message, Role, Text


def test_the_empty_mapping_can_not_be_written():
    """What every request shares by default can't be filled by one of them."""
    assert not hasattr(NOTHING, "__setitem__")


def test_the_empty_mapping_is_an_empty_dict_to_whoever_compares():
    """A codec that gives {} and one that gives nothing make equal messages."""
    assert Message(Role.USER) == Message(Role.USER, extra={})


def test_data_of_the_domain_may_have_the_empty_mapping_as_default():
    """On every supported Python: 3.11 refuses a default that has no hash."""
    assert hash(NOTHING) == hash(Choice().extra)


def test_the_empty_mapping_reads_like_one():
    """Its text, length and lookups are those of {}."""
    assert (repr(NOTHING), len(NOTHING), list(NOTHING), NOTHING.get("a")) == ("{}", 0, [], None)


def test_texts_leave_out_what_is_no_text():
    """Only text parts are compared by meaning."""
    message = Message(Role.USER, (Text("a"), Attachment("image_url", {}), Text("b")))
    assert (message.texts, message.has_attachment) == (("a", "b"), True)


def test_a_role_alone_is_no_content():
    """The first delta of a stream, which tells the role, is not its first token."""
    assert not Delta(role="assistant").has_content
    assert Delta(text="x").has_content
