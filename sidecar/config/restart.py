"""What a running sidecar can't change: two configs in, one that it can live by and a list out.

Pure. Sockets, the state directory, the embedding model and the sizes of what stands in
memory and on disk are chosen at start. A new config that wants them otherwise is taken all
the same; these keys keep their old value, and are named until a restart.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.config.model import Config
from sidecar.config.section import Section

WHOLE = ("listen", "admin", "state_dir", "embedding", "usage")
"""Sections and keys of which nothing can change."""
PARTS = {"log": ("format",), "cache": ("max_entries", "max_memory_bytes", "max_disk_bytes")}
"""Fields of other sections that can't either, by the section's name."""


def kept(running: Config, wanted: Config) -> Config:
    """`wanted`, but for what only a restart can change."""
    update: dict[str, object] = {name: getattr(running, name) for name in WHOLE}
    for name, fields in PARTS.items():
        old = getattr(running, name)
        same = {field: getattr(old, field) for field in fields}
        update[name] = getattr(wanted, name).model_copy(update=same)
    return wanted.model_copy(update=update)


def needs_restart(running: Config, wanted: Config) -> tuple[str, ...]:
    """The keys that `wanted` would change and that keep their old value, as the file has them."""
    return tuple(_differing("", kept(running, wanted), wanted))


def changed(running: Config, wanted: Config) -> tuple[str, ...]:
    """The keys at the top of the file beneath which something changes now."""
    new = kept(running, wanted)
    names = (name for name in Config.model_fields if getattr(running, name) != getattr(new, name))
    return tuple(names)


def _differing(above: str, new: Section, wanted: Section) -> Iterator[str]:
    """The keys beneath `above` where the config to live by isn't the one that was wanted."""
    for name, field in type(wanted).model_fields.items():
        now, then = getattr(new, name), getattr(wanted, name)
        if now == then:
            continue
        key = f"{above}{field.alias or name}"
        if isinstance(then, Section):
            yield from _differing(f"{key}.", now, then)
        else:
            yield key
