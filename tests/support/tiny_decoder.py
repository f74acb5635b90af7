"""Makes tiny decoders with random weights, as graphs and as model folders, in the conventions of onnxruntime-genai's
model builder: GroupQueryAttention, MatMulNBits, `past_key_values.N.key` in and `present.N.key` out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
ELEMENTS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.INT8}


@dataclass(frozen=True)
class TinyDecoder:
    """What to make. The defaults are an int8 model with a float32 cache."""

    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    hidden: int = 64
    vocab: int = 320
    context: int = 128
    weights: str = "int8"
    activations: str = "float32"
    kv: str = "float32"
    fused_qkv: bool = True
    position_ids: bool = False
    logits_from: bool = False
    pruned_head: bool = False
    window: int = -1
    window_cache: bool = False
    attention: str = "GroupQueryAttention"
    seed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether attention is made of plain operators, as optimum exports it: `attention="plain"`, float32 alone."""
        return self.attention == "plain"

    def write(self, folder: Path) -> Path:
        """Write model.onnx and genai_config.json; returns the graph's path."""
        graph = folder / "model.onnx"
        onnx.save(_Maker(self).model(), graph)
        (folder / "genai_config.json").write_text(json.dumps(self.genai_config()))
        return graph

    def genai_config(self) -> dict[str, Any]:
        """What onnxruntime-genai reads."""
        inputs = {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        }
        if self.position_ids:
            inputs["position_ids"] = "position_ids"
        outputs = {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"}
        decoder = {
            "session_options": {"provider_options": []},
            "filename": "model.onnx",
            "head_size": self.head_dim,
            "hidden_size": self.hidden,
            "inputs": inputs,
            "outputs": outputs,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
        }
        ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        model = {"type": "llama", "vocab_size": self.vocab, "context_length": self.context, **ids, "decoder": decoder}
        search = {"max_length": self.context, "past_present_share_buffer": not self.is_plain}
        return {"model": model, "search": search}


class _Maker:
    def __init__(self, wanted: TinyDecoder) -> None:
        self.wanted = wanted
        self.random = np.random.default_rng(wanted.seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def model(self) -> onnx.ModelProto:
        self.decoder()
        w = self.wanted
        ids: list[int | str] = ["batch", "tokens"]
        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ids),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]),
        ]
        if w.position_ids:
            inputs.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ids))
        if w.logits_from:
            inputs.append(helper.make_tensor_value_info("logits_from", TensorProto.INT64, [1]))
            self.constants.append(helper.make_tensor("logits_from", TensorProto.INT64, [1], [0]))
        inputs += self.caches("past_key_values", "past")
        logits = helper.make_tensor_value_info(
            "logits", ELEMENTS[w.activations], ["batch", 1 if w.pruned_head else "wanted", w.vocab]
        )
        graph = helper.make_graph(
            self.nodes, "tiny", inputs, [logits, *self.caches("present", "total")], initializer=self.constants
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, ir_version=10, opset_imports=opsets)

    def caches(self, prefix: str, length: str) -> list[onnx.ValueInfoProto]:
        w = self.wanted
        shape: list[int | str] = ["batch", w.kv_heads, length, w.head_dim]
        names = [f"{prefix}.{layer}.{which}" for layer in range(w.layers) for which in ("key", "value")]
        return [helper.make_tensor_value_info(name, ELEMENTS[w.kv], shape) for name in names]

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        if values.dtype == np.float32 and not name.endswith("_scale"):
            values = values.astype(self.wanted.activations)
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, op: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def linear(self, name: str, x: str, width: int, outputs: int, scale: float = 1.0) -> str:
        weight = (self.random.standard_normal((outputs, width)) * scale / np.sqrt(width)).astype(np.float32)
        if self.wanted.weights == "float32":
            return self.add("MatMul", [x, self.constant(f"{name}.w", weight.T.copy())], [name])
        blocks = weight.reshape(outputs, width // 32, 32)
        scales = np.abs(blocks).max(axis=2) / 127
        packed = (np.round(blocks / scales[:, :, None]) + 128).astype(np.uint8)
        parts = [x, self.constant(f"{name}.w", packed), self.constant(f"{name}.s", scales.reshape(-1))]
        attributes = {"K": width, "N": outputs, "bits": 8, "block_size": 32, "accuracy_level": 4}
        return self.add("MatMulNBits", parts, [name], MICROSOFT, **attributes)

    def norm(self, name: str, x: str) -> str:
        weight = self.constant(f"{name}.w", np.ones(self.wanted.hidden, np.float32))
        return self.add("SimplifiedLayerNormalization", [x, weight], [name], axis=-1, epsilon=1e-5, stash_type=1)

    def decoder(self) -> None:
        w = self.wanted
        self.lengths()
        table = self.random.standard_normal((w.vocab, w.hidden)).astype(np.float32)
        x = self.add("Gather", [self.constant("table", table), "input_ids"], ["embedded"])
        for layer in range(w.layers):
            attended = self.attention(layer, self.norm(f"{layer}.norm", x))
            x = self.add("Add", [x, attended], [f"{layer}.after_attention"])
            inner = self.linear(f"{layer}.up", self.norm(f"{layer}.norm2", x), w.hidden, 2 * w.hidden)
            inner = self.add("Sigmoid", [inner], [f"{layer}.act"])
            x = self.add("Add", [x, self.linear(f"{layer}.down", inner, 2 * w.hidden, w.hidden)], [f"{layer}.out"])
        self.head(self.norm("last_norm", x))

    def head(self, x: str) -> None:
        if self.wanted.logits_from or self.wanted.pruned_head:
            start = "logits_from" if self.wanted.logits_from else self.constant("last", np.array([-1]))
            end = self.constant("end", np.array([np.iinfo(np.int64).max]))
            x = self.add("Slice", [x, start, end, self.constant("axis1", np.array([1]))], ["sliced"])
        self.linear("logits", x, self.wanted.hidden, self.wanted.vocab, scale=3.0)

    def lengths(self) -> None:
        axis = self.constant("axis", np.array([1], np.int64))
        total = self.add("ReduceSum", ["attention_mask", axis], ["lengths"], keepdims=0)
        last = self.add("Sub", [total, self.constant("one", np.array([1], np.int64))], ["last_index.wide"])
        self.add("Cast", [last], ["last_index"], to=TensorProto.INT32)
        shape = self.add("Shape", ["attention_mask"], ["mask_shape"])
        width = self.add("Gather", [shape, self.constant("second", np.array(1, np.int64))], ["width.wide"])
        self.add("Cast", [width], ["width"], to=TensorProto.INT32)
        angles = np.outer(np.arange(self.wanted.context), 100.0 ** -np.linspace(0, 1, self.wanted.head_dim // 2))
        self.constant("cos", np.cos(angles).astype(np.float32))
        self.constant("sin", np.sin(angles).astype(np.float32))

    def attention(self, layer: int, x: str) -> str:
        w = self.wanted
        if w.is_plain:
            return self.plain_attention(layer, x)
        q, kv = w.heads * w.head_dim, w.kv_heads * w.head_dim
        if w.fused_qkv:
            inputs = [self.linear(f"{layer}.qkv", x, w.hidden, q + 2 * kv), "", ""]
        else:
            sizes = {"q": q, "k": kv, "v": kv}
            inputs = [self.linear(f"{layer}.{which}", x, w.hidden, size) for which, size in sizes.items()]
        inputs += [
            f"past_key_values.{layer}.key",
            f"past_key_values.{layer}.value",
            "last_index",
            "width",
            "cos",
            "sin",
        ]
        attributes: dict[str, Any] = {"num_heads": w.heads, "kv_num_heads": w.kv_heads, "do_rotary": 1}
        if w.kv == "int8":
            scale = np.full((1, w.kv_heads, 1, w.head_dim), 4 / 127, np.float32)
            inputs += ["", "", ""] + [self.constant(f"{layer}.{which}_scale", scale) for which in "kv"]
            attributes |= {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        if w.window_cache:
            attributes["sliding_window_cache"] = 1
        outputs = [f"{layer}.attended", f"present.{layer}.key", f"present.{layer}.value"]
        self.add(w.attention, inputs, outputs, MICROSOFT, local_window_size=w.window, **attributes)
        return self.linear(f"{layer}.o", outputs[0], q, w.hidden)

    def plain_attention(self, layer: int, x: str) -> str:
        """The same of operators that ONNX has: rotation by position, concatenation, products, a mask, a softmax."""
        w = self.wanted
        if layer == 0:
            self.mask()
        q, kv = w.heads * w.head_dim, w.kv_heads * w.head_dim
        packed = self.linear(f"{layer}.qkv", x, w.hidden, q + 2 * kv)
        sizes = self.constant(f"{layer}.sizes", np.array([q, kv, kv], np.int64))
        parts = [f"{layer}.{which}" for which in "qkv"]
        self.nodes.append(helper.make_node("Split", [packed, sizes], parts, axis=-1))
        queries, keys, values = (
            self.by_head(part, heads) for part, heads in zip(parts, (w.heads, w.kv_heads, w.kv_heads), strict=True)
        )
        queries, keys = self.rotated(queries), self.rotated(keys)
        keys, values = (
            self.add("Concat", [f"past_key_values.{layer}.{which}", new], [f"present.{layer}.{which}"], axis=2)
            for which, new in (("key", keys), ("value", values))
        )
        keys, values = self.repeated(f"{layer}.keys", keys), self.repeated(f"{layer}.values", values)
        turned = self.add("Transpose", [keys], [f"{layer}.turned"], perm=[0, 1, 3, 2])
        scores = self.add("MatMul", [queries, turned], [f"{layer}.scores"])
        root = self.constant(f"{layer}.root", np.array(w.head_dim**0.5, np.float32))
        scaled = self.add("Div", [scores, root], [f"{layer}.scaled"])
        masked = self.add("Where", ["seen", scaled, "unseen"], [f"{layer}.masked"])
        shares = self.add("Softmax", [masked], [f"{layer}.shares"], axis=-1)
        mixed = self.add("MatMul", [shares, values], [f"{layer}.mixed"])
        rows = self.add("Transpose", [mixed], [f"{layer}.rows"], perm=[0, 2, 1, 3])
        joined = self.constant(f"{layer}.joined", np.array([0, 0, q], np.int64))
        attended = self.add("Reshape", [rows, joined], [f"{layer}.attended"])
        return self.linear(f"{layer}.o", attended, q, w.hidden)

    def mask(self) -> None:
        """`seen` [batch, 1, tokens, total]: what stands before a token or is it, and is no padding."""
        zero, one = self.constant("zero", np.array(0, np.int64)), self.constant("step", np.array(1, np.int64))
        shape = self.add("Shape", ["attention_mask"], ["plain_mask_shape"])
        total = self.add("Gather", [shape, one], ["plain_total"])
        places = self.add("Range", [zero, total, one], ["places"])
        column = self.add("Unsqueeze", ["position_ids", self.constant("column", np.array([2]))], ["columns"])
        before = self.add("LessOrEqual", [places, column], ["before"])
        kept = self.add("Cast", ["attention_mask"], ["kept"], to=TensorProto.BOOL)
        kept = self.add("Unsqueeze", [kept, self.constant("middle", np.array([1]))], ["kept_rows"])
        both = self.add("And", [before, kept], ["both"])
        self.add("Unsqueeze", [both, self.constant("head_axis", np.array([1]))], ["seen"])
        self.constant("unseen", np.array(-1e9, np.float32))
        for which in ("cos", "sin"):
            rows = self.add("Gather", [which, "position_ids"], [f"{which}.rows"], axis=0)
            self.add("Unsqueeze", [rows, "head_axis"], [f"{which}.here"])

    def by_head(self, x: str, heads: int) -> str:
        shape = self.constant(f"{x}.shape", np.array([0, 0, heads, self.wanted.head_dim], np.int64))
        split = self.add("Reshape", [x, shape], [f"{x}.split"])
        return self.add("Transpose", [split], [f"{x}.heads"], perm=[0, 2, 1, 3])

    def rotated(self, x: str) -> str:
        """Halves of each head, turned by the angles of the token's position."""
        half = self.constant(f"{x}.half", np.array([self.wanted.head_dim // 2] * 2, np.int64))
        left, right = f"{x}.left", f"{x}.right"
        self.nodes.append(helper.make_node("Split", [x, half], [left, right], axis=-1))
        products = {
            name: self.add("Mul", [part, f"{which}.here"], [f"{x}.{name}"])
            for name, part, which in (
                ("lc", left, "cos"),
                ("ls", left, "sin"),
                ("rc", right, "cos"),
                ("rs", right, "sin"),
            )
        }
        first = self.add("Sub", [products["lc"], products["rs"]], [f"{x}.first"])
        second = self.add("Add", [products["rc"], products["ls"]], [f"{x}.second"])
        return self.add("Concat", [first, second], [f"{x}.rotated"], axis=-1)

    def repeated(self, name: str, x: str) -> str:
        """Each head of keys or values once for every query head that shares it."""
        w = self.wanted
        order = np.repeat(np.arange(w.kv_heads), w.heads // w.kv_heads)
        return self.add("Gather", [x, self.constant(f"{name}.order", order)], [f"{name}.repeated"], axis=1)
