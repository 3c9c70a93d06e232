"""The variants that were weighed, each a `Form` and an arithmetic for the linear layers.

`SHIPPED` is the one in the package; the table of all of them stands in its model card.
"""

from __future__ import annotations

from collections.abc import Mapping

from training.minilm_graph import LAYERS, Form, Linear
from training.quantize import Blocks, Dynamic, Mixed, Ranges, Smoothed, Static, fp32

SHIPPED = "int8, 7-bit weights, smoothed"
REFERENCE = "fp32"
FUSED = "fp32, usual fusion"
STRENGTH: Mapping[str, float] = {"qkv": 0.6, "up": 0.6, "down": 0.8}


def variants(ranges: Ranges) -> dict[str, tuple[Form, Linear]]:
    """Name → form and arithmetic, the float32 references first."""
    int8 = Dynamic()
    smoothed = Smoothed(int8, ranges, STRENGTH)
    form = Form()
    first_down = {"0.down": fp32}
    return {
        REFERENCE: (Form(int8_words=False), fp32),
        FUSED: (Form(int8_words=False, fused_norm=True), fp32),
        "fp32, int8 word table": (form, fp32),
        "int8 per tensor": (form, Dynamic(per_column=False)),
        "int8, 8-bit weights": (form, Dynamic(steps=127)),
        "int8, 8-bit unsigned weights": (form, Dynamic(steps=127, unsigned=True)),
        "int8, 7-bit weights": (form, int8),
        "int8, 7-bit weights, usual fusion": (Form(fused_norm=True), int8),
        "int8 static": (form, Static(ranges)),
        "int8 static, smoothed": (form, Smoothed(Static(ranges), ranges, STRENGTH)),
        "int8, smoothed α=.5 everywhere": (
            form, Smoothed(int8, ranges, dict.fromkeys(STRENGTH, 0.5)),
        ),
        "int8, smoothed but down": (form, Smoothed(int8, ranges, {"qkv": 0.6, "up": 0.6})),
        SHIPPED: (form, smoothed),
        "smoothed, 8-bit weights": (form, Smoothed(Dynamic(steps=127), ranges, STRENGTH)),
        "smoothed, first down in fp32": (form, Mixed(smoothed, first_down)),
        "smoothed, all down in fp32": (form, Mixed(smoothed, {"down": fp32})),
        "smoothed, all out in fp32": (form, Mixed(smoothed, {"out": fp32})),
        "8-bit blocks of 32": (form, Blocks()),
        "4-bit blocks of 32": (form, Blocks(bits=4)),
        "smoothed, last down in fp32": (
            form, Mixed(smoothed, {f"{LAYERS - 1}.down": fp32}),
        ),
    }  # fmt: skip
