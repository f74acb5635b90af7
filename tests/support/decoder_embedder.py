"""One small random decoder that makes vectors, as a GGUF file, as a checkpoint and as an ONNX export.

The ONNX graph is written here in plain operators, as exporters write it: positions and past as inputs.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from reference.forward import Reference
from reference.tiny_gguf import TinyGguf
from support.tiny_encoder import write_json, write_safetensors

HEADS, KV_HEADS, HEAD_DIM, HIDDEN, CONTEXT, VOCAB, LAYERS = 4, 2, 32, 64, 1500, 288, 2
END_ID = 0
NAME = "Qwen3-Embedding-0.6B"
_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_gguf(path: Path, **changes: Any) -> Path:
    """The model as a GGUF file: last token, with an end token that the file asks for."""
    tiny = TinyGguf(
        "qwen3",
        hidden=HIDDEN,
        ffn=96,
        heads=HEADS,
        kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        vocab=VOCAB,
        context=CONTEXT,
        metadata={"pooling_type": 3},
        tokenizer={"ggml.add_eos_token": True},
    )
    return replace(tiny, **changes).write(path)


def write_checkpoint(folder: Path, gguf: Path, tokenizer: Path, prefix: str = "") -> Path:
    """The same as safetensors, in the layout that its publisher has."""
    weights = Reference(gguf).weights
    folder.mkdir(parents=True)
    write_safetensors(
        folder / "model.safetensors", {prefix + _hugging_face(name): array for name, array in weights.items()}
    )
    write_json(folder / "config.json", config())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True})
    return folder


def write_export(folder: Path, gguf: Path, tokenizer: Path) -> Path:
    """The same as a graph, in the layout of transformers.js."""
    (folder / "onnx").mkdir(parents=True)
    onnx.save(_Export(Reference(gguf).weights).model(), folder / "onnx" / "model.onnx")
    write_json(folder / "config.json", config())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    return folder


def config() -> dict[str, Any]:
    return {
        "model_type": "qwen3",
        "architectures": ["Qwen3Model"],
        "hidden_size": HIDDEN,
        "intermediate_size": 96,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": VOCAB,
        "use_sliding_window": False,
        "sliding_window": None,
    }


def reference_vector(gguf: Path, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """The last token's, brought to length 1."""
    last = Reference(gguf).hidden(list(ids))[-1]
    unit: npt.NDArray[np.float32] = last / np.linalg.norm(last)
    return unit


def rename_tokens(tokenizer: Path, names: dict[str, str]) -> None:
    """Give tokens other names; those of padding, which nothing makes."""
    data = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    data["model"]["vocab"] = {names.get(token, token): index for token, index in vocabulary.items()}
    tokenizer.write_text(json.dumps(data), encoding="utf-8")


def _hugging_face(name: str) -> str:
    if name == "token_embd.weight":
        return "embed_tokens.weight"
    if name == "output_norm.weight":
        return "norm.weight"
    _, layer, part, kind = name.split(".")
    return f"layers.{layer}.{_NAMES[part]}.{kind}"


class _Export:
    """The graph, in plain operators alone."""

    def __init__(self, weights: dict[str, npt.NDArray[np.float32]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def model(self) -> onnx.ModelProto:
        angles = np.arange(CONTEXT)[:, None] * 10000.0 ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles))):
            self.op("Gather", self.constant(name, table.astype(np.float32)), "position_ids", out=f"{name}.rows")
            self.op("Unsqueeze", f"{name}.rows", self.whole(1), out=f"{name}.heads")
        self._mask()
        x = self.op("Gather", self.constant("embed", self.weights["token_embd.weight"]), "input_ids")
        for layer in range(LAYERS):
            x = self._layer(layer, x)
        self.norm(x, "output_norm", out="last_hidden_state")
        return self._proto()

    def _mask(self) -> None:
        """Added to scores: 0 for what stands at or before a token and is no padding."""
        columns = self.op("CumSum", "attention_mask", self.constant("axis", np.array(1)))
        places = self.op("Sub", columns, self.whole(1))
        later = self.op(
            "Greater", self.op("Unsqueeze", places, self.whole(1)), self.op("Unsqueeze", "position_ids", self.whole(2))
        )
        padding = self.op("Unsqueeze", self.op("Equal", "attention_mask", self.whole(0)), self.whole(1))
        hidden = self.op("Or", later, padding)
        low, none = self.constant("low", np.float32(-1e30)), self.constant("none", np.float32(0))
        self.op("Unsqueeze", self.op("Where", hidden, low, none), self.whole(1), out="mask")

    def _layer(self, layer: int, x: str) -> str:
        prefix = f"blk.{layer}."
        before = self.norm(x, f"{prefix}attn_norm")
        q = self.turn(self.norm(self.heads(self.linear(before, f"{prefix}attn_q"), HEADS), f"{prefix}attn_q_norm"))
        k = self.turn(self.norm(self.heads(self.linear(before, f"{prefix}attn_k"), KV_HEADS), f"{prefix}attn_k_norm"))
        v = self.heads(self.linear(before, f"{prefix}attn_v"), KV_HEADS)
        past = f"past_key_values.{layer}."
        k = self.op("Concat", f"{past}key", k, out=f"present.{layer}.key", axis=2)
        v = self.op("Concat", f"{past}value", v, out=f"present.{layer}.value", axis=2)
        scale = self.constant("scale", np.float32(HEAD_DIM**-0.5))
        scores = self.op("MatMul", q, self.op("Transpose", self.shared(k), perm=[0, 1, 3, 2]))
        shares = self.op("Softmax", self.op("Add", self.op("Mul", scores, scale), "mask"), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", shares, self.shared(v)), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, self.whole(0, 0, HEADS * HEAD_DIM))
        x = self.op("Add", x, self.linear(joined, f"{prefix}attn_output"))
        before = self.norm(x, f"{prefix}ffn_norm")
        gate = self.linear(before, f"{prefix}ffn_gate")
        gated = self.op("Mul", self.op("Mul", gate, self.op("Sigmoid", gate)), self.linear(before, f"{prefix}ffn_up"))
        return self.op("Add", x, self.linear(gated, f"{prefix}ffn_down"))

    def heads(self, x: str, count: int) -> str:
        return self.op("Transpose", self.op("Reshape", x, self.whole(0, 0, count, HEAD_DIM)), perm=[0, 2, 1, 3])

    def shared(self, x: str) -> str:
        """Each key head once for every query head that reads it."""
        return self.op("Gather", x, self.constant("shared", np.arange(HEADS) // (HEADS // KV_HEADS)), axis=1)

    def turn(self, x: str) -> str:
        self.nodes.append(helper.make_node("Split", [x], [f"{x}.a", f"{x}.b"], axis=-1, num_outputs=2))
        a, b = f"{x}.a", f"{x}.b"
        left = self.op("Sub", self.op("Mul", a, "cos.heads"), self.op("Mul", b, "sin.heads"))
        right = self.op("Add", self.op("Mul", a, "sin.heads"), self.op("Mul", b, "cos.heads"))
        return self.op("Concat", left, right, axis=-1)

    def norm(self, x: str, name: str, out: str = "") -> str:
        mean = self.op("ReduceMean", self.op("Mul", x, x), self.whole(-1), keepdims=1)
        size = self.op("Sqrt", self.op("Add", mean, self.constant("epsilon", np.float32(1e-5))))
        weight = self.constant(f"{name}.weight", self.weights[f"{name}.weight"])
        return self.op("Mul", self.op("Div", x, size), weight, out=out)

    def linear(self, x: str, name: str) -> str:
        weight = np.ascontiguousarray(self.weights[f"{name}.weight"].T)
        return self.op("MatMul", x, self.constant(f"{name}.weight", weight))

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant("whole" + "_".join(map(str, numbers)), np.array(numbers, np.int64))

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.asarray(values)
        return name

    def _proto(self) -> onnx.ModelProto:
        whole = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", length])
            for name, length in (("input_ids", "tokens"), ("attention_mask", "total"), ("position_ids", "tokens"))
        ]
        caches = [f"{layer}.{which}" for layer in range(LAYERS) for which in ("key", "value")]
        past, present = (
            [
                helper.make_tensor_value_info(
                    f"{prefix}.{name}", TensorProto.FLOAT, ["batch", KV_HEADS, length, HEAD_DIM]
                )
                for name in caches
            ]
            for prefix, length in (("past_key_values", "past"), ("present", "total"))
        )
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", HIDDEN])
        constants = [numpy_helper.from_array(values, name) for name, values in self.constants.items()]
        graph = helper.make_graph(self.nodes, "export", [*whole, *past], [output, *present], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
