"""all-MiniLM-L6-v2 as an ONNX graph, node by node, from its tensors.

Written by hand instead of traced from torch, for what it leaves out: no attention mask
and no padding (one text a run), no token types and no position ids (folded into one
table), no pooler, mean and unit length inside. How a linear layer is computed is passed
in, so that every variant in the model card is this one graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LAYERS = 6
HEADS = 12
MAX_TOKENS = 256
EPSILON = 1e-12
CONTRIB = "com.microsoft"

Array = NDArray[Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Weight:
    """A linear layer: y = x · matrix + bias. `name` is `<layer>.<qkv|out|up|down>`."""

    name: str
    matrix: Array  # float32 (in, out)
    bias: Array  # float32 (out,)
    divisor: Array | None = None  # float32 (in,): x was divided by it, the matrix multiplied

    @property
    def part(self) -> str:
        """Which of the four linear layers of a block this is."""
        return self.name.partition(".")[2]


@dataclass
class Graph:
    """Nodes and constants, collected in order."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    taps: dict[str, str] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        return self.add_many(op, inputs, 1, domain=domain, **attributes)[0]

    def add_many(
        self, op: str, inputs: list[str], outputs: int, *, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs; returns their names."""
        name = f"{op}_{len(self.nodes)}"
        names = [f"{name}:{n}" for n in range(outputs)]
        self.nodes.append(
            helper.make_node(op, inputs, names, name=name, domain=domain, **attributes)
        )
        return names


Linear = Callable[[Graph, str, Weight], str]
"""Adds y = x · matrix + bias to the graph in some arithmetic; returns y's name."""


@dataclass(frozen=True)
class Form:
    """What varies between the variants, the arithmetic of the linear layers aside."""

    int8_words: bool = True
    fused_norm: bool = False


def build(tensors: Tensors, linear: Linear, form: Form, *, tap: bool = False) -> onnx.ModelProto:
    """The whole model: `input_ids` int64 (1, n) → `embedding` float32 (384,), unit length.

    With `tap` the inputs of all linear layers are outputs too, named `tap.<weight>`.
    """
    graph = Graph()
    writer = _Writer(graph, tensors, linear, form)
    x = writer.embed_words()
    for layer in range(LAYERS):
        x = writer.block(layer, x)
    axes = graph.constant("pool.axes", np.array([0, 1], dtype=np.int64))
    mean = graph.add("ReduceMean", [x, axes], keepdims=0)
    graph.nodes.append(
        helper.make_node("LpNormalization", [mean], ["embedding"], name="unit", axis=0, p=2)
    )
    return _model(graph, tap=tap)


@dataclass(frozen=True)
class _Writer:
    """Writes the parts of one model into `graph`."""

    graph: Graph
    tensors: Tensors
    linear: Linear
    form: Form

    def embed_words(self) -> str:
        """Words and their places, normalised."""
        return self._norm("embeddings.LayerNorm", self._words(), self._positions())

    def block(self, layer: int, x: str) -> str:
        """One transformer block: attention, then the wide layer, each with its rest."""
        qkv, out, up, down = block_weights(self.tensors, layer)
        prefix = f"encoder.layer.{layer}."
        parts = self.graph.add_many("Split", [self._apply(qkv, x)], 3, axis=-1, num_outputs=3)
        mixed = self.graph.add("MultiHeadAttention", parts, domain=CONTRIB, num_heads=HEADS)
        x = self._norm(prefix + "attention.output.LayerNorm", x, self._apply(out, mixed))
        # The bias of `up` is added by BiasGelu, in the same pass over the data.
        bias = self.graph.constant(f"{up.name}.bias", up.bias)
        wide = self._apply(Weight(up.name, up.matrix, np.zeros_like(up.bias)), x)
        wide = self.graph.add("BiasGelu", [wide, bias], domain=CONTRIB)
        return self._norm(prefix + "output.LayerNorm", x, self._apply(down, wide))

    def _words(self) -> str:
        graph, table = self.graph, self.tensors["embeddings.word_embeddings.weight"]
        if not self.form.int8_words:
            return graph.add("Gather", [graph.constant("words", table), "input_ids"])
        # One scale a word: 35 MB less, for 0.00001 of cosine.
        scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
        codes = np.rint(table / scale).astype(np.int8)
        picked = graph.add("Gather", [graph.constant("words.codes", codes), "input_ids"])
        scales = graph.add("Gather", [graph.constant("words.scales", scale), "input_ids"])
        return graph.add("Mul", [graph.add("Cast", [picked], to=TensorProto.FLOAT), scales])

    def _positions(self) -> str:
        """The first n rows of the position table, token type 0 already added."""
        graph = self.graph
        table = self.tensors["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        table = table + self.tensors["embeddings.token_type_embeddings.weight"][0]
        count = graph.add("Shape", ["input_ids"], start=1, end=2)
        first = graph.constant("positions.first", np.array([0], dtype=np.int64))
        axis = graph.constant("positions.axis", np.array([1], dtype=np.int64))
        return graph.add("Slice", [graph.constant("positions", table[None]), first, count, axis])

    def _apply(self, weight: Weight, x: str) -> str:
        self.graph.taps[f"tap.{weight.name}"] = x
        return self.linear(self.graph, x, weight)

    def _norm(self, name: str, x: str, y: str) -> str:
        graph = self.graph
        gain = graph.constant(f"{name}.gain", self.tensors[f"{name}.weight"])
        shift = graph.constant(f"{name}.shift", self.tensors[f"{name}.bias"])
        if self.form.fused_norm:
            inputs = [x, y, gain, shift]
            return graph.add("SkipLayerNormalization", inputs, domain=CONTRIB, epsilon=EPSILON)
        # Apart on purpose: the fused kernel takes 29 µs, these two together 8 µs.
        total = graph.add("Add", [x, y])
        return graph.add("LayerNormalization", [total, gain, shift], epsilon=EPSILON)


def block_weights(tensors: Tensors, layer: int) -> tuple[Weight, Weight, Weight, Weight]:
    """The four linear layers of a block: query+key+value in one, out, up, down."""

    def weight(*names: str) -> tuple[Array, Array]:
        prefix = f"encoder.layer.{layer}."
        matrices = [tensors[f"{prefix}{name}.weight"].T for name in names]
        biases = [tensors[f"{prefix}{name}.bias"] for name in names]
        return np.concatenate(matrices, axis=1), np.concatenate(biases)

    heads = [f"attention.self.{name}" for name in ("query", "key", "value")]
    return (
        Weight(f"{layer}.qkv", *weight(*heads)),
        Weight(f"{layer}.out", *weight("attention.output.dense")),
        Weight(f"{layer}.up", *weight("intermediate.dense")),
        Weight(f"{layer}.down", *weight("output.dense")),
    )


def _model(graph: Graph, *, tap: bool) -> onnx.ModelProto:
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [384])]
    if tap:
        for name, source in graph.taps.items():
            graph.nodes.append(helper.make_node("Identity", [source], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])]
    return helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(CONTRIB, 1)],
        ir_version=9,
        producer_name="semantic-sidecar",
    )
