"""The arithmetics a linear layer can be computed in; each adds its nodes to the graph.

All are pure numpy on the tensors and the ranges seen in calibration: no random numbers,
so the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.minilm_graph import CONTRIB, Array, Graph, Linear, Weight

Ranges = Mapping[str, tuple[Array, Array]]
"""Weight name → smallest and largest input seen, float32 (in,) each."""


Codes = Callable[[Array], tuple[Array, Array]]
"""Matrix → int8 codes (in, out), float32 scales (out,) or ()."""


def fp32(graph: Graph, x: str, weight: Weight) -> str:
    """Plain float32."""
    y = graph.add("MatMul", [x, graph.constant(f"{weight.name}.matrix", weight.matrix)])
    return _shifted(graph, y, weight)


def columns(matrix: Array, steps: int) -> tuple[Array, Array]:
    """Int8 codes (in, out) in ±`steps` and one float32 scale a column (out,)."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-8) / np.float32(steps)
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)


def paired(matrix: Array) -> tuple[Array, Array]:
    """Int8 codes (in, out) that no kernel saturates on, and a scale a column (out,).

    Kernels of AVX2 add the products of inputs 2k and 2k+1 in 16 bits, where two codes of
    127 overflow. Codes in ±64 never do, at the price of a bit everywhere; here the sum of
    two neighbours is held within ±128 instead, and each column takes the scale at which
    that costs it least.
    """
    best, codes, scales = np.full(matrix.shape[1], np.inf), *columns(matrix, 64)
    for steps in range(64, 128, 3):
        tried, scale = columns(matrix, steps)
        tried = within_pairs(tried)
        error = np.square(tried * scale - matrix).sum(axis=0)
        better = error < best
        codes = np.where(better, tried, codes)
        scales, best = np.where(better, scale, scales), np.minimum(error, best)
    return codes, scales


def within_pairs(codes: Array) -> Array:
    """Lower both of two neighbouring codes whose sum is over ±128: 255 · 128 < 2¹⁵."""
    pairs = codes.astype(np.int16).reshape(-1, 2, codes.shape[1])
    total = pairs.sum(axis=1)
    excess = np.sign(total) * np.maximum(np.abs(total) - 128, 0)
    pairs[:, 0] -= excess // 2
    pairs[:, 1] -= excess - excess // 2
    return pairs.reshape(codes.shape).astype(np.int8)


def whole(matrix: Array, steps: int) -> tuple[Array, Array]:
    """Int8 codes (in, out) in ±`steps` and one scale for all, float32 ()."""
    scale = np.float32(np.abs(matrix).max() / steps)
    return np.rint(matrix / scale).astype(np.int8), np.asarray(scale)


@dataclass(frozen=True)
class Dynamic:
    """Int8 weights; the input is quantised to uint8 by its own range in each run.

    With `unsigned` weights another kernel is used, slower and free of saturation.
    """

    codes: Codes = paired
    unsigned: bool = False

    def __call__(self, graph: Graph, x: str, weight: Weight) -> str:
        """Add the layer; returns the name of its output."""
        codes, scale = self.codes(weight.matrix)
        zero = np.zeros(scale.shape, dtype=np.int8)
        if self.unsigned:
            codes = (codes.astype(np.int16) + 128).astype(np.uint8)
            zero = np.full(scale.shape, 128, dtype=np.uint8)
        inputs = [x, *_constants(graph, weight.name, codes, scale, zero)]
        if weight.bias.any():
            inputs.append(graph.constant(f"{weight.name}.shift", weight.bias))
        return graph.add("DynamicQuantizeMatMul", inputs, domain=CONTRIB)


@dataclass(frozen=True)
class Static:
    """Int8 weights; the input is quantised to uint8 by the range seen in calibration."""

    ranges: Ranges

    def __call__(self, graph: Graph, x: str, weight: Weight) -> str:
        """Add the layer; returns the name of its output."""
        divisor = 1 if weight.divisor is None else weight.divisor
        lows, highs = self.ranges[weight.name]
        low, high = (lows / divisor).min(), (highs / divisor).max()
        scale = np.float32((max(high, 0) - min(low, 0)) / 255)
        zero = np.uint8(np.rint(-min(low, 0) / scale))
        a_scale = graph.constant(f"{weight.name}.in_scale", np.asarray(scale, dtype=np.float32))
        a_zero = graph.constant(f"{weight.name}.in_zero", np.asarray(zero, dtype=np.uint8))
        a_codes = graph.add("QuantizeLinear", [x, a_scale, a_zero])
        codes, b_scale = paired(weight.matrix)
        zeros = np.zeros(b_scale.shape, dtype=np.int8)
        b, scales, b_zero = _constants(graph, weight.name, codes, b_scale, zeros)
        inputs = [a_codes, b, a_scale, scales, a_zero, b_zero]
        if weight.bias.any():
            inputs.append(graph.constant(f"{weight.name}.shift", weight.bias))
        return graph.add("MatMulIntegerToFloat", inputs, domain=CONTRIB)


@dataclass(frozen=True)
class Blocks:
    """Weights in blocks of `block` inputs with a scale each; the input by blocks too."""

    bits: int = 8
    block: int = 32

    def __call__(self, graph: Graph, x: str, weight: Weight) -> str:
        """Add the layer; returns the name of its output."""
        count, out = weight.matrix.shape
        blocks = weight.matrix.T.reshape(out, count // self.block, self.block)
        steps = 2 ** (self.bits - 1) - 1
        scale = np.abs(blocks).max(axis=2) / np.float32(steps)
        codes = (np.rint(blocks / scale[..., None]) + 2 ** (self.bits - 1)).astype(np.uint8)
        if self.bits == 4:
            codes = codes[..., 0::2] | (codes[..., 1::2] << 4)
        inputs = [
            x,
            graph.constant(f"{weight.name}.codes", codes),
            graph.constant(f"{weight.name}.scales", scale.astype(np.float32).ravel()),
        ]
        y = graph.add(
            "MatMulNBits", inputs, domain=CONTRIB,
            K=count, N=out, bits=self.bits, block_size=self.block, accuracy_level=4,
        )  # fmt: skip
        return _shifted(graph, y, weight)


@dataclass(frozen=True)
class Smoothed:
    """Moves the input's outliers into the weights before `inner` quantises both.

    x · W = (x / s) · (s · W) for any s > 0; s = range(x)ᵃ / range(W)¹⁻ᵃ a channel, with
    a by part of the block. Source: Xiao et al., "SmoothQuant", 2022, formula 4.
    """

    inner: Linear
    ranges: Ranges
    strength: Mapping[str, float]

    def __call__(self, graph: Graph, x: str, weight: Weight) -> str:
        """Add the layer; returns the name of its output."""
        if weight.part not in self.strength:
            return self.inner(graph, x, weight)
        scale = self._scale(weight)
        divided = graph.add("Mul", [x, graph.constant(f"{weight.name}.smooth", 1 / scale)])
        matrix = weight.matrix * scale[:, None]
        return self.inner(graph, divided, Weight(weight.name, matrix, weight.bias, scale))

    def _scale(self, weight: Weight) -> Array:
        strength = self.strength[weight.part]
        low, high = self.ranges[weight.name]
        inputs = np.maximum(np.maximum(-low, high), 1e-3)
        weights = np.maximum(np.abs(weight.matrix).max(axis=1), 1e-4)
        scale = inputs**strength / weights ** (1 - strength)
        return (scale / np.exp(np.log(scale).mean())).astype(np.float32)


@dataclass(frozen=True)
class Mixed:
    """`special` for the weights or parts it names, `common` for the rest."""

    common: Linear
    special: Mapping[str, Linear]

    def __call__(self, graph: Graph, x: str, weight: Weight) -> str:
        """Add the layer; returns the name of its output."""
        linear = self.special.get(weight.name) or self.special.get(weight.part) or self.common
        return linear(graph, x, weight)


def _shifted(graph: Graph, y: str, weight: Weight) -> str:
    if not weight.bias.any():
        return y
    return graph.add("Add", [y, graph.constant(f"{weight.name}.shift", weight.bias)])


def _constants(graph: Graph, name: str, codes: Array, scale: Array, zero: Array) -> list[str]:
    return [
        graph.constant(f"{name}.codes", codes),
        graph.constant(f"{name}.scales", scale),
        graph.constant(f"{name}.zeros", zero),
    ]
