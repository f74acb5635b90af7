"""Text to token ids and back, over a folder's tokenizer.json.

*Control tokens* are the added tokens that the file marks as special: `<|im_start|>`, `<s>` and their like. They are
never found in plain text; only a template's own pieces, or `encode(..., special=True)`, make them. Other added tokens,
such as `<tool_call>` in Qwen's vocabulary or `<table>` in Gemma's, are text: they stand for their characters wherever
they occur.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import tokenizers

from obeaver.errors import BadRequest, ModelError
from obeaver.model_files import json_object, read_json_object, read_text
from obeaver.text.prompt import ControlTokens, Piece, RenderedPrompt
from obeaver.text.prompt_size import HONEST_CHARS_PER_TOKEN, SAFETY, TooManyTokens, in_groups, pieces_of, size_bound
from obeaver.text.stop_strings import StopTokens, stop_tokens
from obeaver.text.token_bytes import TokenTable, token_table
from obeaver.text.tokenizer_limits import check_growth, check_ids, check_size

Input: TypeAlias = str | tuple[str, str]
"""What an encoder reads: a text, or a pair of them."""

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILES = ("special_tokens_map.json", "tokenizer_config.json")
"""Where BOS is named; what the later file says wins."""

_SHORT_CHARS = 1000


class TokenDecoder:
    """Turns ids into text, one at a time; the time that one takes does not depend on how many came before.

    Bytes that are no UTF-8 become U+FFFD, one for each sequence that could have begun a character.
    """

    def __init__(self, table: TokenTable, skip: frozenset[int]) -> None:
        self._rows = table.rows
        self._skip = skip
        self._strips_space = table.strips_space
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes; never ends inside a character. An unknown id has no text."""
        if token_id in self._skip or not 0 <= token_id < len(self._rows):
            return ""
        return self._text(self._utf8.decode(self._rows[token_id]))

    def flush(self) -> str:
        """What is left of an unfinished character, as replacement characters. More tokens may follow."""
        return self._text(self._utf8.decode(b"", final=True))

    def _text(self, text: str) -> str:
        if self._strips_space and text:
            self._strips_space = False
            return text.removeprefix(" ")
        return text


class ModelInput(NamedTuple):
    """A text, or a pair of texts, as an encoder reads it.

    Attributes:
        ids: Token ids with those that the model wants around a text.
        type_ids: Segment of each token.
        num_cut: Tokens that were cut off to keep to a limit.
    """

    ids: Sequence[int]
    type_ids: Sequence[int]
    num_cut: int


class Tokenizer:
    """A model's tokenizer. Safe to share between threads.

    Attributes:
        json_path: The tokenizer.json it was read from.
        vocab_size: Ids are below this. Logits may have more columns, which then stand for nothing.
        bos_id: The token that begins a text; None where the files name none.
        add_bos: Whether it goes before every prompt.
        control_tokens: The strings that act as control tokens.
        size_bound: What a text's size tells of its tokens; None for nothing.
    """

    def __init__(self, json_path: Path, config: Mapping[str, Any]) -> None:
        """Read the tokenizer; `from_folder` is the usual way here."""
        self.json_path = json_path
        check_size(json_path)
        definition = read_text(json_path)
        self._inner = _load(json_path, definition)
        # The library starts its threads with its first batch: now, and not beside a request.
        self._inner.encode_batch_fast([])
        described = json_object(json_path, definition)
        check_growth(json_path, described)
        self._decoder = described.get("decoder")
        vocab = self._inner.get_vocab(with_added_tokens=True)
        added = self._inner.get_added_tokens_decoder()
        check_ids(json_path, max(vocab.values(), default=-1) + 1)
        control = {token_id: token for token_id, token in added.items() if token.special}
        self._control_ids = {token.content: token_id for token_id, token in control.items()}
        self._swallow_before = {token.content for token in control.values() if token.lstrip}
        self._swallow_after = {token.content for token in control.values() if token.rstrip}
        self._special_ids = frozenset(control)
        self.control_tokens = frozenset(self._control_ids)
        self._splitter = ControlTokens(self.control_tokens)
        self._added_ids = {token.content: token_id for token_id, token in added.items()}
        self._added = ControlTokens(self._added_ids)
        self._table = token_table(vocab, {key: token.content for key, token in added.items()}, self._decoder)
        self.size_bound = size_bound(described, self._table.rows) if self._table else None
        self.vocab_size = max(vocab.values(), default=-1) + 1
        self.bos_id = self._find_bos(config.get("bos_token"))
        self.add_bos = self.bos_id is not None and self._adds_bos(config.get("add_bos_token"))

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Read a model folder's tokenizer.

        Raises:
            ModelError: A file is missing or broken.
        """
        config: dict[str, Any] = {}
        for name in CONFIG_FILES:
            if (folder / name).exists():
                config |= read_json_object(folder / name)
        return cls(folder / TOKENIZER_FILE, config)

    def encode(self, text: str, *, special: bool = False, limit: int | None = None) -> list[int]:
        """The ids of a text, nothing put before or after it. Other threads run on meanwhile.

        Args:
            text: Any text; what cannot be written as UTF-8 counts as U+FFFD.
            special: Control tokens in the text act as such; else they are plain text.
            limit: As in `encode_prompt`.

        Raises:
            TooManyTokens: As in `encode_prompt`.
        """
        if limit is not None and self.size_bound is not None and self.size_bound.exceeds([text], limit):
            raise TooManyTokens(self.size_bound.fewest_tokens([text]))
        pieces = self._splitter.split(text) if special else [Piece(text, is_control=False)]
        return self._encode_pieces(pieces, limit)

    def encode_prompt(self, prompt: RenderedPrompt, *, limit: int | None = None) -> list[int]:
        """The ids of a prompt; BOS stands first, once, where the model wants it.

        Args:
            prompt: Any.
            limit: Of no use with more tokens than this. A prompt that has more may be refused without being tokenised,
                or else has all its ids.

        Raises:
            TooManyTokens: The prompt has more than `limit`, for certain.
        """
        ids = self._encode_pieces(prompt.pieces, limit)
        if self.add_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            return [self.bos_id, *ids]
        return ids

    def encode_inputs(self, texts: Sequence[Input], *, limit: int | None = None) -> list[ModelInput]:
        """Texts, or pairs of texts, with the control tokens that the tokenizer's own file puts around them.

        Args:
            texts: Control tokens inside them are plain text, as in `encode`.
            limit: Longer ones lose tokens at the end of their text, the last one of a pair; None: nothing is cut.
        """
        return [
            _model_input(encoding, limit) for some in in_groups(texts) for encoding in self._encoded(some, special=True)
        ]

    def refuse_excess(self, texts: Sequence[str], limit: int) -> None:
        """See that texts may have as few tokens as this together.

        Raises:
            TooManyTokens: They have more, for certain.
        """
        if self.size_bound is not None and self.size_bound.exceeds(texts, limit):
            raise TooManyTokens(self.size_bound.fewest_tokens(texts))
        if sum(map(len, texts)) <= HONEST_CHARS_PER_TOKEN * limit:
            return
        num_tokens = 0
        for text in texts:
            for piece in pieces_of(text):
                num_tokens += len(self._encoded([piece])[0])
                if num_tokens > SAFETY * limit:
                    raise TooManyTokens(num_tokens // SAFETY)

    def count(self, text: str) -> int:
        """Tokens of a text of any length, up to the few at the edges of its pieces; takes little memory."""
        return sum(len(self._encoded([piece])[0]) for piece in pieces_of(text))

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """The text of the ids.

        Raises:
            ModelError: The tokenizer's decoder is of a kind not known here.
        """
        decoder = self.decoder(skip_special=skip_special)
        return "".join([*map(decoder.push, ids), decoder.flush()])

    def decoder(self, *, skip_special: bool = True) -> TokenDecoder:
        """A decoder for one text; what it returns, joined, is what `decode` returns.

        Raises:
            ModelError: The tokenizer's decoder is of a kind not known here.
        """
        return TokenDecoder(self._rows(), self._special_ids if skip_special else frozenset())

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for, control tokens as they are written; none for an unknown id.

        Raises:
            ModelError: The tokenizer's decoder is of a kind not known here.
        """
        rows = self._rows().rows
        return rows[token_id] if 0 <= token_id < len(rows) else b""

    @property
    def spellings(self) -> Sequence[bytes]:
        """What `token_bytes` gives for each id below `vocab_size`.

        Raises:
            ModelError: The tokenizer's decoder is of a kind not known here.
        """
        return self._rows().rows

    @property
    def marker_ids(self) -> frozenset[int]:
        """Control tokens, and other added tokens that look like tags: a vocabulary's words for what is no text."""
        tags = {i for token, i in self._added_ids.items() if token.startswith("<") and token.endswith(">")}
        return self._special_ids | tags

    def token_text(self, token_id: int) -> str:
        """The same as text; parts of characters are U+FFFD."""
        return self.token_bytes(token_id).decode(errors="replace")

    def is_special(self, token_id: int) -> bool:
        """Whether this is a control token."""
        return token_id in self._special_ids

    def id_of(self, token: str) -> int | None:
        """The id of a token as the vocabulary writes it."""
        token_id: int | None = self._inner.token_to_id(token)
        return token_id

    def stop_tokens(self, stop: Iterable[str]) -> StopTokens:
        """The control tokens that these stop strings speak of."""
        return stop_tokens(stop, self._control_ids)

    def added_ids_in(self, texts: Iterable[str]) -> dict[str, int]:
        """The added tokens that stand in these texts, with their ids, whether they are control tokens or not."""
        found = {piece.text for text in texts for piece in self._added.split(text) if piece.is_control}
        return {token: self._added_ids[token] for token in found}

    def to_json(self) -> str:
        """The whole tokenizer as a tokenizer.json."""
        return self._inner.to_str()

    def _rows(self) -> TokenTable:
        if self._table is None:
            kind = self._decoder.get("type") if isinstance(self._decoder, dict) else self._decoder
            raise ModelError(f"{self.json_path}: a decoder of type {kind!r} is not supported")
        return self._table

    def _encode_pieces(self, pieces: Iterable[Piece], limit: int | None = None) -> list[int]:
        trimmed = list(self._trimmed(list(pieces)))
        texts = [piece.text for piece in trimmed if not piece.is_control]
        if limit is not None:
            self.refuse_excess(texts, limit)
        encodings = iter(self._encoded(texts))
        ids: list[int] = []
        for piece in trimmed:
            if piece.is_control:
                ids.append(self._control_ids[piece.text])
            else:
                ids += next(encodings).ids
        return ids

    def _encoded(self, texts: Sequence[Input], *, special: bool = False) -> list[tokenizers.Encoding]:
        """Texts, or pairs; with `special`, the control tokens that the tokenizer's file puts around them."""
        with _as_refusal():
            try:
                return self._encode_all(list(texts), special)
            except TypeError:  # surrogates, which JSON's escapes can bring in
                return self._encode_all(_writable(texts), special)

    def _encode_all(self, texts: list[Any], special: bool) -> list[tokenizers.Encoding]:
        # `encode` holds the interpreter's lock throughout, and takes twice as long for long texts. Short ones are done
        # before the threads of a batch would have woken up. What encoders read comes by the hundred, or in pairs.
        if sum(map(len, texts)) > _SHORT_CHARS or special:
            return self._inner.encode_batch_fast(texts, add_special_tokens=special)
        return [self._inner.encode(text, add_special_tokens=False) for text in texts]

    def _trimmed(self, pieces: Sequence[Piece]) -> Iterator[Piece]:
        """Some vocabularies let control tokens swallow the white space beside them."""
        texts = [piece.text for piece in pieces]
        for before, piece, after in zip(["", *texts], pieces, [*texts[1:], ""], strict=False):
            text = piece.text
            if not piece.is_control:
                text = text.lstrip() if before in self._swallow_after else text
                text = text.rstrip() if after in self._swallow_before else text
            yield Piece(text, piece.is_control)

    def _find_bos(self, value: object) -> int | None:
        text = value.get("content") if isinstance(value, dict) else value
        return self._inner.token_to_id(text) if isinstance(text, str) else None

    def _adds_bos(self, configured: object) -> bool:
        """The configuration says it, or else the tokenizer's own post-processor does it."""
        if isinstance(configured, bool):
            return configured
        return self._inner.encode("", add_special_tokens=True).ids[:1] == [self.bos_id]


@contextmanager
def _as_refusal() -> Iterator[None]:
    """What the library cannot tokenise is refused: a word without a token, an expression that searches too long.

    It raises nothing more specific than Exception, and for what it did not foresee a panic, which is not even that.
    """
    try:
        yield
    except TypeError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadRequest("The model's tokenizer fails on this text.", code="tokenizer_failed") from error


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _writable(texts: Sequence[Input]) -> list[Any]:
    return [
        _without_surrogates(text) if isinstance(text, str) else tuple(map(_without_surrogates, text)) for text in texts
    ]


def _model_input(encoding: tokenizers.Encoding, limit: int | None) -> ModelInput:
    ids, type_ids = encoding.ids, encoding.type_ids
    num_cut = 0 if limit is None else len(ids) - limit
    if limit is None or num_cut <= 0:
        return ModelInput(ids, type_ids, 0)
    mask = encoding.special_tokens_mask
    num_end = next((n for n, special in enumerate(reversed(mask)) if not special), 0)
    kept, end = max(0, limit - num_end), len(ids) - num_end
    return ModelInput(ids[:kept] + ids[end:], type_ids[:kept] + type_ids[end:], num_cut)


def _load(path: Path, definition: str) -> tokenizers.Tokenizer:
    """Load with control tokens off, and without the truncation and padding that some files ask for."""
    try:
        loaded = tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # the library raises nothing more specific
        raise ModelError(f"{path} is not a usable tokenizer: {error}") from error
    loaded.encode_special_tokens = True
    loaded.no_truncation()
    loaded.no_padding()
    return loaded
