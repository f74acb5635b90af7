"""Small random embedding models on disk, in the ecosystem's layouts."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress

HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 64, 40
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(60)), "query", "passage", ":"]
VOCAB = len(WORDS)

Weights = dict[str, npt.NDArray[np.float32]]


def bert_config(model_type: str = "bert", architecture: str = "BertModel", vocab: int = VOCAB) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "architectures": [architecture],
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS + 2,
        "vocab_size": vocab,
        "type_vocab_size": 2,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
    }


def bert_weights(seed: int = 0, vocab: int = VOCAB) -> Weights:
    """Random weights under BERT's names, large enough that every part of the model matters."""
    rng = np.random.default_rng(seed)

    def random(*shape: int, scale: float = 0.3) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> Weights:
        return {f"{name}.weight": random(rows, columns), f"{name}.bias": random(rows)}

    def norm(name: str) -> Weights:
        return {f"{name}.weight": 1 + random(HIDDEN), f"{name}.bias": random(HIDDEN)}

    weights = {
        "embeddings.word_embeddings.weight": random(vocab, HIDDEN, scale=1),
        "embeddings.position_embeddings.weight": random(POSITIONS + 2, HIDDEN),
        "embeddings.token_type_embeddings.weight": random(2, HIDDEN),
        **norm("embeddings.LayerNorm"),
    }
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            weights |= linear(f"{layer}.attention.{name}", HIDDEN, HIDDEN)
        weights |= norm(f"{layer}.attention.output.LayerNorm")
        weights |= linear(f"{layer}.intermediate.dense", INNER, HIDDEN)
        weights |= linear(f"{layer}.output.dense", HIDDEN, INNER) | norm(f"{layer}.output.LayerNorm")
    return weights


def classifier_weights(num_labels: int = 1) -> Weights:
    rng = np.random.default_rng(5)
    return {
        "pooler.dense.weight": rng.standard_normal((HIDDEN, HIDDEN)).astype(np.float32) * 0.3,
        "pooler.dense.bias": rng.standard_normal(HIDDEN).astype(np.float32),
        "classifier.weight": rng.standard_normal((num_labels, HIDDEN)).astype(np.float32),
        "classifier.bias": rng.standard_normal(num_labels).astype(np.float32),
    }


def write_safetensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]], dtype: str = "F32") -> None:
    """Write a file by the format's specification."""
    header, parts, offset = {}, [], 0
    for name, array in tensors.items():
        data = _bytes(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


def _bytes(array: npt.NDArray[Any], dtype: str) -> bytes:
    if dtype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8"}[dtype]).tobytes()


def write_tokenizer(folder: Path) -> None:
    """Words and two control tokens round each text."""
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_json(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")


def write_sentence_transformer(
    folder: Path, weights: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any]
) -> Path:
    """A folder as sentence-transformers saves it: BERT, mean pooling, length 1."""
    write_tokenizer(folder)
    write_json(folder / "config.json", config)
    write_safetensors(folder / "model.safetensors", weights)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    kinds = [
        {"idx": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(modules)
    ]
    write_json(folder / "modules.json", kinds)
    write_pooling(folder, "mean_tokens")
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": False})
    return folder


def write_embedder(folder: Path, tokenizer_json: Path, name: str = "tiny-bert") -> Path:
    """A model's folder with a small random encoder behind another model's tokenizer, as an import makes it."""
    vocab = Tokenizer.from_file(str(tokenizer_json)).get_vocab_size()
    source = write_sentence_transformer(folder / "source", bert_weights(vocab=vocab), bert_config(vocab=vocab))
    shutil.copy(tokenizer_json, source)
    (folder / name).mkdir()
    import_encoder(source, folder / name, weights="fp32", name=name, progress=SilentProgress())
    return folder / name


def write_reranker(folder: Path, name: str = "tiny-reranker") -> Path:
    """A model's folder with a small random cross-encoder, as an import makes it."""
    config = bert_config(architecture="BertForSequenceClassification")
    source = write_sentence_transformer(folder / "source", bert_weights() | classifier_weights(), config)
    (folder / name).mkdir()
    import_encoder(source, folder / name, weights="fp32", name=name, progress=SilentProgress())
    return folder / name


def write_pooling(folder: Path, *modes: str, **more: Any) -> None:
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    chosen = {f"pooling_mode_{mode}": mode in modes for mode in known}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": HIDDEN, **chosen, **more})


def write_decoder_embedder(graph: Path, *, quantised: bool = False, outputs: str = "last_hidden_state") -> None:
    """A causal model with the inputs of a decoder's export: positions, and an empty past of keys.

    Each token's output is the mean of the embeddings up to it, those of the past included, plus its position's: enough
    to see whether padding, positions or a past leak into a vector.
    """
    rng = np.random.default_rng(3)
    table = rng.standard_normal((VOCAB, HIDDEN)).astype(np.float32)
    places = rng.standard_normal((POSITIONS, HIDDEN)).astype(np.float32)
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["words"]),
        node("Gather", ["places", "position_ids"], ["where"]),
        node("Squeeze", ["past_key_values.0.key", "axis_1"], ["past"]),
        node("Concat", ["past", "words"], ["all"], axis=1),
        node("CumSum", ["all", "one"], ["sums"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("CumSum", ["mask", "one"], ["counts"]),
        node("Unsqueeze", ["counts", "last"], ["divisors"]),
        node("Div", ["sums", "divisors"], ["means"]),
        node("Add", ["means", "where"], ["added"]),
    ]
    if quantised:
        nodes += [
            node("DynamicQuantizeLinear", ["added"], ["bytes", "scale", "zero"]),
            node("DequantizeLinear", ["bytes", "scale", "zero"], ["hidden"]),
        ]
    else:
        nodes.append(node("Identity", ["added"], ["hidden"]))
    shape: list[str | int] = ["batch", "sequence", HIDDEN]
    if outputs == "sentence_embedding":
        nodes.append(node("ReduceMean", ["hidden", "axis_1"], [outputs], keepdims=0))
        shape = ["batch", HIDDEN]
    else:
        nodes.append(node("Identity", ["hidden"], [outputs]))
    texts = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "position_ids")
    ]
    past = helper.make_tensor_value_info("past_key_values.0.key", TensorProto.FLOAT, ["batch", 1, "past", HIDDEN])
    constants: dict[str, npt.NDArray[Any]] = {
        "table": table,
        "places": places,
        "one": np.array(1, np.int64),
        "last": np.array([2], np.int64),
        "axis_1": np.array([1], np.int64),
    }
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "decoder",
            [*texts, past],
            [helper.make_tensor_value_info(outputs, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    graph.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, graph)


def decoder_vector(ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """What `write_decoder_embedder`'s model says of a text by its last token, brought to length 1."""
    rng = np.random.default_rng(3)
    table = rng.standard_normal((VOCAB, HIDDEN)).astype(np.float32)
    places = rng.standard_normal((POSITIONS, HIDDEN)).astype(np.float32)
    last = table[list(ids)].mean(axis=0) + places[len(ids) - 1]
    unit: npt.NDArray[np.float32] = last / np.linalg.norm(last)
    return unit
