"""What a model folder says about its model, read without loading it.

A folder is one that onnxruntime-genai can load: `genai_config.json` with the graph and the tokenizer's files beside it.
Folders that obeaver made have `obeaver.json` too, which says what they were made from and how well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeGuard

from obeaver.errors import ModelError
from obeaver.model_files import read_json_object, read_text
from obeaver.models.dialects import think_markers, tool_dialect
from obeaver.models.template_choice import template_of, template_of_turns

CONFIG: Final = "genai_config.json"
PROVENANCE: Final = "obeaver.json"
_TOKENIZER: Final = "tokenizer.json"
_TOKENIZER_CONFIG: Final = "tokenizer_config.json"
_SPECIAL_TOKENS: Final = "special_tokens_map.json"
_TEMPLATE: Final = "chat_template.jinja"
_TEMPLATE_OBJECT: Final = "chat_template.json"
_FOUNDRY: Final = "inference_model.json"
_KV_ELEMENT_BYTES: Final[Mapping[str, int]] = {"int8": 1, "float16": 2, "float32": 4}
# Sections of a genai_config beside the decoder: with one of them the model is more than one decoder graph.
_OTHER_PARTS: Final = ("encoder", "vision", "speech", "embedding")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as its folder describes it.

    Attributes:
        name: As obeaver's import wrote it, else the folder's name.
        folder: The folder.
        kind: `chat` or `embedding`.
        architecture: The decoder's type, such as `llama` or `qwen3`.
        context_length: Tokens of prompt and answer together.
        vocab_size: Columns of the logits.
        head_size: Elements of one head of the attention; None where the folder does not say it.
        kv_bytes_per_token: Bytes of one token's keys and values; None where the folder does not say it.
        eos_ids: Each of them ends an answer.
        bos_id: None where the model has none.
        chat_template: Jinja source; None for a model that has none.
        special_tokens: Strings such as `bos_token` and `eos_token`, as a chat template refers to them.
        tool_dialect: How it writes tool calls; None where its template does not know tools.
        think_markers: What stands around its thoughts; None where there is no such thing.
        vision: It takes images beside text.
        decoder_graph: The ONNX file, where one graph is the whole model.
        size_bytes: Of all files in the folder.
        weights: Format of the weights, where the folder says it: `int8`, `int4`, `fp32`.
        kv: Format of the KV cache, where the folder says it: `int8`, `float32`.
        provider: Execution provider that the folder was made for, in lower case: `cpu`, `cuda`, …
        licence: Where the folder says it.
        created: When the folder was made, in seconds since 1970.
        fidelity: What the import measured against the source's own weights, where it did.
    """

    name: str
    folder: Path
    kind: str
    architecture: str
    context_length: int
    vocab_size: int
    head_size: int | None
    kv_bytes_per_token: int | None
    eos_ids: tuple[int, ...]
    bos_id: int | None
    chat_template: str | None
    special_tokens: Mapping[str, str]
    tool_dialect: str | None
    think_markers: tuple[str, str] | None
    vision: bool
    decoder_graph: Path | None
    size_bytes: int
    weights: str | None
    kv: str | None
    provider: str
    licence: str | None
    created: int
    fidelity: Mapping[str, Any] | None


def is_model_folder(folder: Path) -> bool:
    """Whether this is a folder that `read_facts` can be asked about."""
    return (folder / CONFIG).is_file()


def read_facts(folder: Path) -> ModelFacts:
    """Read what the folder says. No graph is loaded.

    Raises:
        ModelError: A file is missing or broken; names it and says why.
    """
    model = _Fields(folder / CONFIG, read_json_object(folder / CONFIG)).section("model")
    decoder = model.section("decoder")
    provenance = _Fields(folder / PROVENANCE, _optional(folder / PROVENANCE))
    tokenizer = _optional(folder / _TOKENIZER_CONFIG)
    template = _template(folder, tokenizer)
    architecture = model.text("type")
    return ModelFacts(
        name=provenance.text_or_none("name") or folder.resolve().name,
        folder=folder,
        kind=provenance.text_or_none("kind") or "chat",
        architecture=architecture,
        context_length=model.positive("context_length"),
        vocab_size=model.positive("vocab_size"),
        head_size=decoder.positive("head_size") if "head_size" in decoder else None,
        kv_bytes_per_token=_kv_bytes_per_token(decoder, provenance.text_or_none("kv")),
        eos_ids=model.ids("eos_token_id"),
        bos_id=next(iter(model.ids("bos_token_id")), None),
        chat_template=template,
        special_tokens=_special_tokens(_optional(folder / _SPECIAL_TOKENS), tokenizer),
        tool_dialect=tool_dialect(template, architecture),
        think_markers=think_markers(template, read_text(folder / _TOKENIZER)),
        vision="vision" in model,
        decoder_graph=_decoder_graph(folder, model, decoder),
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        weights=provenance.text_or_none("weights"),
        kv=provenance.text_or_none("kv"),
        provider=_provider(decoder),
        licence=provenance.text_or_none("licence"),
        created=_created(folder, provenance),
        fidelity=provenance.object_or_none("fidelity"),
    )


def with_template(facts: ModelFacts, template: str) -> ModelFacts:
    """The same model with another chat template, and what follows from it."""
    return replace(
        facts,
        chat_template=template,
        tool_dialect=tool_dialect(template, facts.architecture),
        think_markers=think_markers(template, read_text(facts.folder / _TOKENIZER)),
    )


class _Fields:
    """An object of a JSON file, whose fields are asked for by type; what is wrong is said with file and field."""

    def __init__(self, file: Path, data: Mapping[str, Any], path: str = "") -> None:
        self.file = file
        self._data = data
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def section(self, key: str) -> "_Fields":
        value = self._data.get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "must be an object")
        return _Fields(self.file, value, f"{self._path}{key}.")

    def text(self, key: str) -> str:
        value = self._data.get(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "must be a string")
        return value

    def positive(self, key: str) -> int:
        value = self._data.get(key)
        if not _is_int(value) or value < 1:
            raise self._wrong(key, "must be a whole number above 0")
        return value

    def positive_or_none(self, key: str) -> int | None:
        """None as well where it is no such number: for what is told and not needed."""
        value = self._data.get(key)
        return value if _is_int(value) and value > 0 else None

    def ids(self, key: str) -> tuple[int, ...]:
        """One id, a list of them, or none."""
        value = self._data.get(key)
        ids = [] if value is None else value if isinstance(value, list) else [value]
        if not all(_is_int(item) for item in ids):
            raise self._wrong(key, "must be a token id or a list of them")
        # Exports write -1 where the model has no such token.
        return tuple(item for item in ids if item >= 0)

    def text_or_none(self, key: str) -> str | None:
        return self.text(key) if self._data.get(key) is not None else None

    def object_or_none(self, key: str) -> Mapping[str, Any] | None:
        if self._data.get(key) is None:
            return None
        value = self._data[key]
        if not isinstance(value, dict):
            raise self._wrong(key, "must be an object")
        return value

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(key, "must be a list of objects")
        return value

    def _wrong(self, key: str, problem: str) -> ModelError:
        return ModelError(f"{self.file}: {self._path}{key} {problem}")


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _optional(path: Path) -> Mapping[str, Any]:
    return read_json_object(path) if path.exists() else {}


def _template(folder: Path, tokenizer: Mapping[str, Any]) -> str | None:
    """The file wins over the tokenizer's configuration, as in Hugging Face's own loader."""
    if (folder / _TEMPLATE).exists():
        return read_text(folder / _TEMPLATE)
    value = tokenizer.get("chat_template") or _optional(folder / _TEMPLATE_OBJECT).get("chat_template")
    if isinstance(value, list):  # several by name
        value = template_of({str(item.get("name")): item.get("template") for item in value if isinstance(item, dict)})
    if value is None and isinstance(turns := _optional(folder / _FOUNDRY).get("PromptTemplate"), dict):
        value = template_of_turns(turns)
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{folder / _TOKENIZER_CONFIG}: chat_template must be a string")
    return value


def _special_tokens(*sources: Mapping[str, Any]) -> dict[str, str]:
    """The `*_token` strings; each may also be an object with the string as its `content`. Later sources win."""
    found = {}
    for source in sources:
        for key, value in source.items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                found[key] = text
    return found


def _decoder_graph(folder: Path, model: _Fields, decoder: _Fields) -> Path | None:
    if "pipeline" in decoder or any(part in model for part in _OTHER_PARTS):
        return None
    name = Path(decoder.text("filename"))
    graph = folder / name
    # By its words alone: the files of a hub's cache are links to elsewhere, and that is fine.
    if name.is_absolute() or ".." in name.parts:
        raise ModelError(f"{model.file}: model.decoder.filename leads out of the folder")
    if not graph.is_file():
        raise ModelError(f"{folder} is no complete model folder: {graph.name} is missing")
    return graph


def _provider(decoder: _Fields) -> str:
    options = decoder.section("session_options").objects("provider_options") if "session_options" in decoder else []
    return next((name.lower() for option in options for name in option), "cpu")


def _kv_bytes_per_token(decoder: _Fields, kv: str | None) -> int | None:
    layers, heads, head_size = map(decoder.positive_or_none, ("num_hidden_layers", "num_key_value_heads", "head_size"))
    if layers is None or heads is None or head_size is None:
        return None
    # Where the folder does not tell an element's size, the largest in use.
    return 2 * _KV_ELEMENT_BYTES.get(kv or "", 4) * layers * heads * head_size


def _created(folder: Path, provenance: _Fields) -> int:
    if "created" in provenance:
        return provenance.positive("created")
    return int((folder / CONFIG).stat().st_mtime)
