"""The variants that were weighed, each a `Form` and an arithmetic for the linear layers.

`SHIPPED` is the one in the package; the table of all of them stands in its model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from training.minilm_graph import Form, Linear
from training.quantize import (
    Blocks,
    Dynamic,
    Mixed,
    Ranges,
    Smoothed,
    Static,
    columns,
    fp32,
    whole,
)

SHIPPED = "int8, smoothed, paired"
REFERENCE = "fp32"
FUSED = "fp32, usual fusion"
STRENGTH: Mapping[str, float] = {"qkv": 0.6, "up": 0.6, "down": 0.8}


def variants(ranges: Ranges) -> dict[str, tuple[Form, Linear]]:
    """Name → form and arithmetic, the float32 references first."""
    form = Form()
    seven, eight = partial(columns, steps=64), partial(columns, steps=127)
    best = Smoothed(Dynamic(), ranges, STRENGTH)
    even = dict.fromkeys(STRENGTH, 0.5)
    return {
        REFERENCE: (Form(int8_words=False), fp32),
        FUSED: (Form(int8_words=False, fused_norm=True), fp32),
        "fp32, int8 word table": (form, fp32),
        "8-bit blocks of 32": (form, Blocks()),
        "4-bit blocks of 32": (form, Blocks(bits=4)),
        "int8 per tensor": (form, Dynamic(partial(whole, steps=64))),
        "int8, 7 bits": (form, Dynamic(seven)),
        "int8, 8 bits": (form, Dynamic(eight)),
        "int8, 8 bits, unsigned": (form, Dynamic(eight, unsigned=True)),
        "int8, paired": (form, Dynamic()),
        "int8, paired, usual fusion": (Form(fused_norm=True), Dynamic()),
        "int8 static, paired": (form, Static(ranges)),
        "int8 static, smoothed, paired": (form, Smoothed(Static(ranges), ranges, STRENGTH)),
        "int8, smoothed, 7 bits": (form, Smoothed(Dynamic(seven), ranges, STRENGTH)),
        "int8, smoothed, 8 bits": (form, Smoothed(Dynamic(eight), ranges, STRENGTH)),
        "int8, smoothed by 0.5, paired": (form, Smoothed(Dynamic(), ranges, even)),
        SHIPPED: (form, best),
        "shipped, unsigned": (form, Smoothed(Dynamic(unsigned=True), ranges, STRENGTH)),
        "shipped, first down in fp32": (form, Mixed(best, {"0.down": fp32})),
        "shipped, all out in fp32": (form, Mixed(best, {"out": fp32})),
        "shipped, all down in fp32": (form, Mixed(best, {"down": fp32})),
    }
