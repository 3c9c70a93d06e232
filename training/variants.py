"""The variants that were weighed, each a `Form` and an arithmetic for the linear layers.

`SHIPPED` is the one in the package; the table of all of them stands in its model card.
"""

from __future__ import annotations

from collections.abc import Mapping

from training.minilm_graph import Form, Linear
from training.quantize import Blocks, Dynamic, Mixed, Moments, Ranges, Smoothed, Static, fp32

SHIPPED = "int8, smoothed, compensated"
REFERENCE = "fp32"
FUSED = "fp32, usual fusion"
STRENGTH: Mapping[str, float] = {"qkv": 0.6, "up": 0.6, "down": 0.8}


def variants(ranges: Ranges, moments: Moments) -> dict[str, tuple[Form, Linear]]:
    """Name → form and arithmetic, the float32 references first."""
    form, int8 = Form(), Dynamic()
    best = Smoothed(Dynamic(moments=moments), ranges, STRENGTH)
    return {
        REFERENCE: (Form(int8_words=False), fp32),
        FUSED: (Form(int8_words=False, fused_norm=True), fp32),
        "fp32, int8 word table": (form, fp32),
        "8-bit blocks of 32": (form, Blocks()),
        "4-bit blocks of 32": (form, Blocks(bits=4)),
        "int8 per tensor": (form, Dynamic(per_column=False)),
        "int8, 8-bit weights": (form, Dynamic(steps=127)),
        "int8, 8-bit unsigned weights": (form, Dynamic(steps=127, unsigned=True)),
        "int8, 7-bit weights": (form, int8),
        "int8, 7-bit weights, usual fusion": (Form(fused_norm=True), int8),
        "int8 static": (form, Static(ranges)),
        "int8 static, smoothed": (form, Smoothed(Static(ranges), ranges, STRENGTH)),
        "int8, all smoothed by 0.5": (form, Smoothed(int8, ranges, dict.fromkeys(STRENGTH, 0.5))),
        "int8, smoothed but down": (form, Smoothed(int8, ranges, {"qkv": 0.6, "up": 0.6})),
        "int8, smoothed": (form, Smoothed(int8, ranges, STRENGTH)),
        SHIPPED: (form, best),
        "shipped, first down in fp32": (form, Mixed(best, {"0.down": fp32})),
        "shipped, all out in fp32": (form, Mixed(best, {"out": fp32})),
        "shipped, all down in fp32": (form, Mixed(best, {"down": fp32})),
    }
