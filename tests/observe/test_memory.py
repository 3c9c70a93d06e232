"""How much of its memory this process holds, read from files as the kernel writes them."""

import mmap
import os

import pytest

from sidecar.observe.memory import PERIOD_S, MemoryShare, held_bytes, limit_bytes

PAGE = os.sysconf("SC_PAGE_SIZE")
GIB = 1 << 30
NO_LIMIT = 9223372036854771712


def groups_of(folder, own: str, **limits: object):
    """A control group file and the tree it speaks of; names hold `__` for slashes."""
    (folder / "own").write_text(own)
    for name, limit in limits.items():
        place = folder / "groups" / name.replace("__", "/").replace("_dot_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{limit}\n")
    return limit_bytes(folder / "own", folder / "groups")


def test_the_limit_of_version_two(tmp_path):
    """Its own group's."""
    assert groups_of(tmp_path, "0::/pod/app\n", pod__app__memory_dot_max=GIB) == GIB


def test_the_nearest_groups_above_limit_too(tmp_path):
    """The strictest of them counts."""
    found = groups_of(
        tmp_path, "0::/pod/app\n", pod__app__memory_dot_max="max", pod__memory_dot_max=GIB
    )
    assert found == GIB


def test_in_a_container_the_own_group_is_the_root(tmp_path):
    """Its name may be one that only the host can see."""
    assert groups_of(tmp_path, "0::/\n", memory_dot_max=GIB) == GIB
    assert groups_of(tmp_path, "0::/kubepods/x\n", memory_dot_max=GIB) == GIB


def test_the_limit_of_version_one(tmp_path):
    """A number near the largest means none."""
    own = "9:name=systemd:/\n4:cpu,memory:/app\n0::/\n"
    limits = {"memory__app__memory_dot_limit_in_bytes": GIB}
    assert groups_of(tmp_path, own, **limits) == GIB
    assert groups_of(tmp_path, own, memory__app__memory_dot_limit_in_bytes=NO_LIMIT) is None


@pytest.mark.parametrize("own", ["", "0::/\n", "nonsense\n", "0::/../..\n"])
def test_without_a_limit_there_is_none(tmp_path, own):
    """Nor where the file can't be read."""
    assert groups_of(tmp_path, own) is None
    assert limit_bytes(tmp_path / "absent", tmp_path) is None


def test_what_no_file_backs_is_held():
    """Of this very process: it grows with what is written to, by about as much."""
    before = held_bytes()
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * (64 << 20))
        assert 60 << 20 <= held_bytes() - before <= 200 << 20


def test_pages_of_files_are_not_counted(tmp_path):
    """The kernel can take them back."""
    (tmp_path / "statm").write_text("1000 300 100 1 0 1 0\n")
    assert held_bytes(tmp_path / "statm") == 200 * PAGE


@pytest.mark.parametrize("said", ["", "1 2", "a b c"])
def test_what_can_not_be_read_is_nothing(tmp_path, said):
    """A system that doesn't tell must not have work refused."""
    (tmp_path / "statm").write_text(said)
    assert held_bytes(tmp_path / "statm") == 0
    assert held_bytes(tmp_path / "absent") == 0


def test_a_share_is_read_again_after_a_while(tmp_path, clock):
    """Not for each request."""
    pages = tmp_path / "statm"
    pages.write_text("0 100 0")
    share = MemoryShare(clock, 200 * PAGE, pages)
    assert share() == 0.5
    pages.write_text("0 200 0")
    clock.advance(PERIOD_S / 2)
    assert share() == 0.5
    clock.advance(PERIOD_S / 2)
    assert share() == 1.0


def test_without_a_limit_the_share_is_nothing(clock):
    """Whatever is held."""
    assert MemoryShare(clock)() == 0.0
