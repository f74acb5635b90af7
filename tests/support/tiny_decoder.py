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
        return {"model": model, "search": {"max_length": self.context, "past_present_share_buffer": True}}


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
