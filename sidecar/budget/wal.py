"""Whether SQLite's write-ahead log was damaged in its midst. Pure.

SQLite reads such a log up to the first frame whose checksum is wrong and says nothing of the
rest: right after a crash, where only the end can be torn, wrong for money, where a flipped
bit would take the charges behind it out of the sums. An end that is torn holds at most one
commit, the one that was under way. Where two or more follow a broken frame, it was not the
end. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log

What can't be told from a crash: a log that was cut, or damaged in its last commit.
"""

from __future__ import annotations

import struct
import sys
from array import array

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = 0x377F0682  # the lowest bit is set where checksums are of big-endian words
_WORD = 0xFFFFFFFF


def is_broken(log: bytes) -> bool:
    """Whether commits are lost that had been finished."""
    if len(log) < _HEADER or log.count(0) == len(log):  # nothing was ever written
        return False
    magic, _, page_size = struct.unpack_from(">III", log)
    if magic & ~1 != _MAGIC or not 512 <= page_size <= 65_536:
        return True
    is_big = bool(magic & 1)
    total = _checksum(log[:24], (0, 0), is_big=is_big)
    if total != struct.unpack_from(">II", log, 24):
        return True
    frames = range(_HEADER, len(log) - page_size - _FRAME_HEADER + 1, page_size + _FRAME_HEADER)
    return _lost(log, frames, total, page_size, is_big=is_big) > 1


def _lost(
    log: bytes, frames: range, total: tuple[int, int], page_size: int, *, is_big: bool
) -> int:
    """Commits behind the first frame that is wrong. Frames of an older log have other salts."""
    salts, is_sound, lost = log[16:24], True, 0
    for at in frames:
        is_ours = log[at + 8 : at + 16] == salts
        if is_sound:
            page = log[at : at + 8] + log[at + _FRAME_HEADER : at + _FRAME_HEADER + page_size]
            total = _checksum(page, total, is_big=is_big)
            is_sound = is_ours and total == struct.unpack_from(">II", log, at + 16)
        if not is_sound and is_ours:
            lost += log[at + 4 : at + 8] != bytes(4)
    return lost


def _checksum(content: bytes, total: tuple[int, int], *, is_big: bool) -> tuple[int, int]:
    words = array("I", content)
    if is_big != (sys.byteorder == "big"):
        words.byteswap()
    first, second = total
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & _WORD
        second = (second + words[at + 1] + first) & _WORD
    return first, second
