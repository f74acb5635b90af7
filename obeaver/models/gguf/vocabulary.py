"""The tokenizer in a GGUF's metadata, written as the files that Hugging Face's and onnxruntime-genai's loaders read.

    tokenizer.ggml.model   gpt2   byte-level BPE: tokens, merges and the name of a pre-tokenizer
                           llama  SentencePiece BPE: tokens with scores, bytes for what has no token

`tokenizer.json` is written as plain data: no tokenizer library is needed here. Tokens of the types CONTROL and
UNKNOWN become special added tokens, USER_DEFINED ones become added tokens that are text; the rest stands in the
vocabulary only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.models.gguf.bytelevel import byte_level_parts
from obeaver.models.gguf.pre_tokenizers import PreTokenizer, pre_tokenizer
from obeaver.models.gguf.sentencepiece import SPACE_MARK, sentencepiece_parts
from obeaver.models.template_choice import template_of

_TEMPLATES: Final = "tokenizer.chat_template."
_BYTE_LEVEL: Final = "gpt2"
_SENTENCEPIECE: Final = "llama"

# Files often name one end token and not the others, so these end an answer wherever a vocabulary has them; after the
# list in llama.cpp's `llama-vocab.cpp`.
_END_TOKENS: Final = frozenset(
    {
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "<end_of_utterance>",
    }
)

# What a SentencePiece file means that does not name them; llama.cpp's defaults.
_SENTENCEPIECE_IDS: Final[Mapping[str, int]] = {"unknown": 0, "bos": 1, "eos": 2}

Frame = tuple[str, int]
"""A token that stands before or behind a text, and its id."""

_CHATML_TOKENS: Final = frozenset({"<|im_start|>", "<|im_end|>"})
_CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class TokenType(IntEnum):
    """What `tokenizer.ggml.token_type` says of a token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What else depends on the tokenizer.

    Attributes:
        vocab_size: Ids are below this.
        bos_id: Begins a text; None where the vocabulary has no such token.
        eos_ids: Each ends an answer; the file's own end token first. May be empty.
        pad_id: Fills up batches; None where the file names none.
        unk_id: Stands for what has no token; None where the file names none.
        add_bos: BOS goes before every prompt.
        special_tokens: `bos_token` and the like, as chat templates name them.
        chat_template: What was written as the template, None if nothing was.
    """

    vocab_size: int
    bos_id: int | None
    eos_ids: tuple[int, ...]
    pad_id: int | None
    unk_id: int | None
    add_bos: bool
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    chat_template: str | None = None


def write_tokenizer(metadata: Mapping[str, object], target: Path, end_token: str | None = None) -> TokenizerFacts:
    """Write the tokenizer's three JSON files and, where there is a template, chat_template.jinja.

    A file without a template gets ChatML if its vocabulary has ChatML's tokens, else none.

    Args:
        metadata: A GGUF's key-value pairs.
        target: An existing folder.
        end_token: Stands behind each text that is encoded with the tokens around it; None for none.

    Raises:
        ModelError: The vocabulary is incomplete, contradicts itself, or is of a kind not known here; says which.
    """
    vocabulary = _Vocabulary(_Metadata(metadata), end_token)
    facts = vocabulary.facts()
    config = {
        "tokenizer_class": vocabulary.transformers_class,
        "add_bos_token": facts.add_bos,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **facts.special_tokens,
    }
    _write(target / "tokenizer.json", json.dumps(vocabulary.to_json(), ensure_ascii=False))
    _write(target / "tokenizer_config.json", json.dumps(config, ensure_ascii=False, indent=2))
    _write(target / "special_tokens_map.json", json.dumps(facts.special_tokens, ensure_ascii=False, indent=2))
    if facts.chat_template is not None:
        _write(target / "chat_template.jinja", facts.chat_template)
    return facts


def _write(path: Path, text: str) -> None:
    # As bytes: a template's line ends are part of the prompt, on every platform.
    path.write_bytes(text.encode())


class _Metadata:
    """The tokenizer's keys, asked for by type."""

    def __init__(self, pairs: Mapping[str, object]) -> None:
        self._pairs = pairs

    def get(self, key: str) -> object:
        return self._pairs.get(f"tokenizer.ggml.{key}")

    def strings(self, key: str) -> Sequence[str]:
        values = self.get(key)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise ModelError(f"tokenizer.ggml.{key} is missing or is no list of strings")
        return values

    def numbers(self, key: str, length: int) -> Sequence[float]:
        values = self.get(key)
        if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
            raise ModelError(f"tokenizer.ggml.{key} is missing or is no list of numbers")
        if len(values) != length:
            raise ModelError(f"tokenizer.ggml.{key} has {len(values)} entries for {length} tokens")
        return values

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.get(key)
        return value if isinstance(value, bool) else default

    def token_id(self, name: str, num_tokens: int, default: int | None = None) -> int | None:
        value = self.get(f"{name}_token_id")
        if value is None:
            return default
        if not isinstance(value, int) or not 0 <= value < num_tokens:
            raise ModelError(f"tokenizer.ggml.{name}_token_id is {value!r}, and there are {num_tokens} tokens")
        return value

    def chat_template(self) -> str | None:
        named = {
            key.removeprefix(_TEMPLATES): value for key, value in self._pairs.items() if key.startswith(_TEMPLATES)
        }
        only = self._pairs.get(_TEMPLATES.removesuffix("."))
        return template_of(named if only is None else {**named, "default": only})


class _Vocabulary:
    """The metadata, checked, and what follows from them."""

    def __init__(self, metadata: _Metadata, end_token: str | None) -> None:
        self._metadata = metadata
        self._end_token = end_token
        self._pre = _pre_tokenizer(metadata)
        self._tokens = metadata.strings("tokens")
        self._ids = ids_of(self._tokens)
        self._types = _types(metadata, len(self._tokens))
        self._eos_ids = self._find_eos_ids()
        for index in self._eos_ids:  # some files have them as ordinary tokens, which would make them plain text
            self._types[index] = TokenType.CONTROL

    @property
    def transformers_class(self) -> str:
        """The Python class of `transformers` that reads such files; onnxruntime-genai goes by its name as well."""
        return "LlamaTokenizer" if self._pre is None else "PreTrainedTokenizerFast"

    def facts(self) -> TokenizerFacts:
        bos_id = self._token_id("bos")
        default = self._pre is None or self._pre.add_bos
        return TokenizerFacts(
            vocab_size=len(self._tokens),
            bos_id=bos_id,
            eos_ids=self._eos_ids,
            pad_id=self._token_id("padding"),
            unk_id=self._token_id("unknown"),
            add_bos=bos_id is not None and self._metadata.flag("add_bos_token", default=default),
            special_tokens=self._special_tokens(),
            chat_template=self._chat_template(),
        )

    def to_json(self) -> dict[str, Any]:
        """The whole tokenizer.json."""
        parts = self._sentencepiece_parts() if self._pre is None else self._byte_level_parts(self._pre)
        facts = self.facts()
        begin = (
            (facts.special_tokens["bos_token"], facts.bos_id) if facts.add_bos and facts.bos_id is not None else None
        )
        parts["post_processor"] = framed(parts["post_processor"], begin, self._end())
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": self._added_tokens(),
            **parts,
        }

    def _end(self) -> Frame | None:
        """What stands behind each text."""
        if self._end_token is None:
            return None
        if self._end_token not in self._ids:
            raise ModelError(f"tokenizer.ggml.tokens has no {self._end_token}, which has to stand behind each text")
        return self._end_token, self._ids[self._end_token]

    def _byte_level_parts(self, pre: PreTokenizer) -> dict[str, Any]:
        prefix = self._metadata.flag("add_space_prefix", default=False)
        return byte_level_parts(pre, self._ids, self._metadata.strings("merges"), space_prefix=prefix)

    def _sentencepiece_parts(self) -> dict[str, Any]:
        scores = self._metadata.numbers("scores", len(self._tokens))
        texts = [
            token.replace(" ", SPACE_MARK) if self._is_space_run(index) else token
            for index, token in enumerate(self._tokens)
        ]
        ordinary = [index for index, kind in enumerate(self._types) if kind is TokenType.NORMAL]
        unk_id = self._token_id("unknown")
        return sentencepiece_parts(
            ids_of(texts),
            {texts[index]: scores[index] for index in ordinary},
            {text for index, text in enumerate(texts) if self._is_space_run(index)},
            unk_token=None if unk_id is None else texts[unk_id],
            space_prefix=self._metadata.flag("add_space_prefix", default=True),
        )

    def _is_space_run(self, index: int) -> bool:
        """Gemma's runs of spaces. Converters write them as user-defined; its own tokenizer.json merges them."""
        is_user_defined = self._types[index] is TokenType.USER_DEFINED
        return self._pre is None and is_user_defined and not self._tokens[index].strip(f" {SPACE_MARK}")

    def _added_tokens(self) -> list[dict[str, Any]]:
        special = {TokenType.CONTROL: True, TokenType.UNKNOWN: True, TokenType.USER_DEFINED: False}
        return [
            _added_token(index, token, special=special[kind])
            for index, (token, kind) in enumerate(zip(self._tokens, self._types, strict=True))
            if kind in special and not self._is_space_run(index)
        ]

    def _token_id(self, name: str) -> int | None:
        default = _SENTENCEPIECE_IDS.get(name) if self._pre is None else None
        return self._metadata.token_id(name, len(self._tokens), default)

    def _find_eos_ids(self) -> tuple[int, ...]:
        named = [self._token_id(name) for name in ("eos", "eot", "eom")]
        known = sorted(self._ids[token] for token in _END_TOKENS if token in self._ids)
        return tuple(dict.fromkeys(index for index in [*named, *known] if index is not None))

    def _special_tokens(self) -> dict[str, str]:
        eos_id = self._eos_ids[0] if self._eos_ids else None
        roles = {
            "bos_token": self._token_id("bos"),
            "eos_token": eos_id,
            "unk_token": self._token_id("unknown"),
            "pad_token": self._token_id("padding"),
        }
        return {role: self._tokens[index] for role, index in roles.items() if index is not None}

    def _chat_template(self) -> str | None:
        template = self._metadata.chat_template()
        return _CHATML if template is None and self._ids.keys() >= _CHATML_TOKENS else template


def _pre_tokenizer(metadata: _Metadata) -> PreTokenizer | None:
    """The pre-tokenizer of a byte-level vocabulary; None means a SentencePiece one."""
    model = metadata.get("model")
    if model not in (_BYTE_LEVEL, _SENTENCEPIECE):
        raise ModelError(f"the tokenizer {model!r} (tokenizer.ggml.model) is not supported; known are gpt2 and llama")
    return pre_tokenizer(metadata.get("pre")) if model == _BYTE_LEVEL else None


def ids_of(tokens: Sequence[str]) -> dict[str, int]:
    """Token to id.

    Raises:
        ModelError: A token stands twice.
    """
    ids = {token: index for index, token in enumerate(tokens)}
    if len(ids) != len(tokens):
        twice = next(token for index, token in enumerate(tokens) if ids[token] != index)
        raise ModelError(f"tokenizer.ggml.tokens has {twice!r} twice")
    return ids


def _types(metadata: _Metadata, length: int) -> list[TokenType]:
    try:
        return [TokenType(int(value)) for value in metadata.numbers("token_type", length)]
    except ValueError as error:
        raise ModelError(f"tokenizer.ggml.token_type has an unknown type: {error}") from error


def _added_token(index: int, text: str, *, special: bool) -> dict[str, Any]:
    return {
        "id": index,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def framed(before: Any, begin: Frame | None, end: Frame | None) -> Any:
    """A post-processor that puts tokens around a text, after what else there is to do."""
    tokens = dict(frame for frame in (begin, end) if frame is not None)
    if not tokens:
        return before
    template = {
        "type": "TemplateProcessing",
        "single": _framed_text("A", 0, begin, end),
        "pair": [*_framed_text("A", 0, begin, end), *_framed_text("B", 1, begin, end)],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]} for token, index in tokens.items()},
    }
    return template if before is None else {"type": "Sequence", "processors": [before, template]}


def _framed_text(name: str, segment: int, begin: Frame | None, end: Frame | None) -> list[dict[str, Any]]:
    def special(frame: Frame | None) -> list[dict[str, Any]]:
        return [] if frame is None else [{"SpecialToken": {"id": frame[0], "type_id": segment}}]

    return [*special(begin), {"Sequence": {"id": name, "type_id": segment}}, *special(end)]
