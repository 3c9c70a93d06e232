"""Whatever happens to the bytes on disk: no crash, no wrong answer, and service goes on."""

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from sidecar.cache.entry import Entry
from tests.cache.making import entry, noise, opened, vector

WORDS = range(10)
SLICES = 4


def _kept(word: int) -> Entry:
    return entry(word, text=noise(word, 200 + 600 * word), tags=("a", "b"), user=f"user {word}")


async def _write(path: Path, copy: Path | None = None) -> None:
    async with opened(path) as cache:
        for word in WORDS:
            cache.put(_kept(word), vector(word))
        await cache.flush()
        for suffix in ("", "-wal") if copy else ():
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that was closed in order."""
    path = tmp_path_factory.mktemp("sound") / "cache.sqlite"
    asyncio.run(_write(path))
    return path


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a kill leaves it: what was written is in the journal alone."""
    copy = tmp_path_factory.mktemp("torn") / "cache.sqlite"
    asyncio.run(_write(tmp_path_factory.mktemp("live") / "cache.sqlite", copy))
    return copy


def _copy(source: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source.parent, folder)
    return folder / source.name


async def _serves_only_truth(path: Path) -> int:
    """Look everything up, then put something new; gives how many entries are left."""
    found = 0
    async with opened(path) as cache:
        for word in WORDS:
            near = await cache.nearest(_kept(word).scope, vector(word), k=2, floor=0.9)
            assert [each.entry for each in near] in ([], [_kept(word)])
            kept = await cache.get(_kept(word).key)
            assert kept in (None, _kept(word))
            found += kept is not None
        assert cache.put(entry("new"), vector("new"))
        assert await cache.flush()
        assert await cache.get(entry("new").key) == entry("new")
    return found


def _flip(path: Path, offset: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def _size(path: Path) -> int:
    return path.stat().st_size


def _cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)


@pytest.mark.parametrize("part", range(SLICES))
async def test_flipped_bytes(sound: Path, tmp_path: Path, part: int) -> None:
    """A flipped byte costs the entries it hit, never more than a miss."""
    draw = random.Random(part)  # noqa: S311 - no secret
    left = []
    for _ in range(200 // SLICES):
        path = _copy(sound, tmp_path / "copy")
        _flip(path, draw.randrange(_size(path)), draw.randrange(1, 256))
        left.append(await _serves_only_truth(path))
    assert sum(left) > len(left) * len(WORDS) // 2  # most damage costs one entry


async def test_flipped_bytes_of_the_head(sound: Path, tmp_path: Path) -> None:
    """The file's head and its first pages, where a byte changes the meaning of all others."""
    draw = random.Random(7)  # noqa: S311 - no secret
    for offset in range(0, 100, 2):
        path = _copy(sound, tmp_path / "copy")
        _flip(path, offset, 1 << draw.randrange(8))
        await _serves_only_truth(path)


async def test_flipped_bytes_of_the_journal(torn: Path, tmp_path: Path) -> None:
    """A journal that a kill left, with a flipped byte, is played as far as it is sound."""
    draw = random.Random(11)  # noqa: S311 - no secret
    for _ in range(40):
        path = _copy(torn, tmp_path / "copy")
        journal = path.with_name(f"{path.name}-wal")
        _flip(journal, draw.randrange(_size(journal)), draw.randrange(1, 256))
        await _serves_only_truth(path)


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_truncated_files(torn: Path, tmp_path: Path, suffix: str) -> None:
    """A file or journal that ends too early, at any length, is survived."""
    draw = random.Random(13)  # noqa: S311 - no secret
    source = torn.with_name(torn.name + suffix)
    lengths = [0, 1, 99, 100, *(draw.randrange(_size(source)) for _ in range(20))]
    for length in lengths:
        path = _copy(torn, tmp_path / "copy")
        _cut(path.with_name(path.name + suffix), min(length, _size(source)))
        await _serves_only_truth(path)


async def test_truncated_sound_file(sound: Path, tmp_path: Path) -> None:
    """A file without a journal that ends too early is set aside or served in part."""
    draw = random.Random(17)  # noqa: S311 - no secret
    for _ in range(30):
        path = _copy(sound, tmp_path / "copy")
        _cut(path, draw.randrange(_size(path)))
        await _serves_only_truth(path)


async def test_sound_copy_serves_everything(sound: Path, torn: Path, tmp_path: Path) -> None:
    """Without damage nothing is lost: the tests above would notice if nothing were served."""
    assert await _serves_only_truth(_copy(sound, tmp_path / "one")) == len(WORDS)
    assert await _serves_only_truth(_copy(torn, tmp_path / "two")) == len(WORDS)
