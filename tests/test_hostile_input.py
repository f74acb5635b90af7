"""Random and damaged input for everything that reads what strangers made: refused in its own words, and never a crash.

`make soak` tries many more of each (`OBEAVER_FUZZ_EXAMPLES`).
"""

import json
import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from support.decoders import events_of
from support.scripted_model import make_grammars
from support.small_tokenizers import byte_level_metadata, tokenizer_of
from support.tiny_decoder import TinyDecoder

from obeaver.engine.grammar.grammar import (
    GrammarCompiler,
    GrammarError,
    grammar_text,
    json_schema_part,
    regex_part,
    user_part,
)
from obeaver.engine.runners.ort_runner import open_ort_runner
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.engine.sessions.providers import choose_provider
from obeaver.errors import BadRequest, GrammarTooComplex, ModelError, TemplateFailed
from obeaver.models.encoder.safetensors import Tensors
from obeaver.models.gguf.reader import GgufFile
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

NUM_EXAMPLES: Final = int(os.environ.get("OBEAVER_FUZZ_EXAMPLES", "40"))
fuzz = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    derandomize=NUM_EXAMPLES < 100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8)


def damaged(data: bytes, changes: list[tuple[int, int]], length: int) -> bytes:
    """The data with some bytes changed, and perhaps cut."""
    changed = bytearray(data)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    return bytes(changed[: length % (2 * len(changed))])


@contextmanager
def in_one_line(*refusals: type[Exception]) -> Iterator[None]:
    """What is read in the block may be refused, in one line."""
    told = ""
    try:
        yield
    except refusals as error:
        told = str(error)
    assert "\n" not in told


def gguf() -> bytes:
    """A small file of this format."""
    name, key = b"blk.0.attn_q.weight", b"general.architecture"
    value = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, 5) + b"llama"
    tensor = struct.pack("<Q", len(name)) + name + struct.pack("<IQQIQ", 2, 4, 2, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + value + tensor
    return head + b"\0" * (-len(head) % 32) + np.arange(8, dtype=np.float32).tobytes()


def safetensors() -> bytes:
    """The same of that one."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    return len(header).to_bytes(8, "little") + header + np.arange(4, dtype=np.float32).tobytes()


@fuzz
@given(changes=CHANGES, length=st.integers(1, 1 << 20))
def test_a_damaged_gguf_file_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]], length: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(damaged(gguf(), changes, length))
    with in_one_line(ModelError):
        file = GgufFile(path)
        for name in file.tensors:
            assert file.read(name).nbytes <= 1 << 20


@fuzz
@given(changes=CHANGES, length=st.integers(1, 1 << 20))
def test_a_damaged_safetensors_file_is_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(damaged(safetensors(), changes, length))
    with in_one_line(ModelError):
        tensors = Tensors(path)
        for name in tensors.names():
            tensors.shape(name)
            assert tensors.read(name).nbytes <= 1 << 20


@fuzz
@given(data=st.data())
def test_a_damaged_tokenizer_is_used_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    path = tmp_path / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    changed: Any = definition
    for _ in range(data.draw(st.integers(1, 3))):
        if isinstance(changed, dict) and changed:
            key = data.draw(st.sampled_from(sorted(changed)))
            if data.draw(st.booleans()) and isinstance(changed[key], dict) and changed[key]:
                changed = changed[key]
                continue
            changed[key] = data.draw(JSON)
        break
    path.write_text(json.dumps(definition), encoding="utf-8")
    with in_one_line(ModelError, BadRequest):
        tokenizer = Tokenizer.from_folder(tmp_path)
        tokenizer.decode(tokenizer.encode("Hello \U0001f9ab <|im_end|>"))


def regex(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replacing(pattern: dict[str, str], content: str, times: int = 1) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": pattern, "content": content}
    return {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [step]}] * times}


HOSTILE_TOKENIZERS: dict[str, dict[str, Any] | bytes] = {
    "nested lists": b"[" * 200_000,
    "nested objects": b'{"decoder":' * 200_000,
    "a nested part": b'{"decoder":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a long number": b"1" * 1_000_000,
    "bytes": bytes(range(256)) * 100,
    "an archive": b"\x1f\x8b\x08" + bytes(1000),
    "an id beyond all memory": {"model": {"vocab": {"x": 2**32 - 1}}},
    "an id beyond all vocabularies": {"model": {"vocab": {"x": 200_000_000}}},
    "an id below zero": {"model": {"vocab": {"x": -1}}},
    "an id that is a text": {"model": {"vocab": {"x": "1"}}},
    "merges of nothing": {"model": {"merges": [["q", "w", "z"]]}},
    "an expression without an end": {"pre_tokenizer": regex("(((")},
    "a nested expression": {"pre_tokenizer": regex("(" * 5000 + "a" + ")" * 5000)},
    "texts ten times as long, twelve times": {"normalizer": replacing({"String": "a"}, "a" * 10, 12)},
    "texts longer between all characters": {"normalizer": replacing({"Regex": ""}, "a" * 100)},
    "a long prefix": {"normalizer": {"type": "Prepend", "prepend": "x" * 1_000_000}},
    "normalizers that are none": {"normalizer": {"type": "Sequence", "normalizers": 7}},
}


@pytest.mark.parametrize("name", HOSTILE_TOKENIZERS)
def test_a_hostile_tokenizer_is_refused_in_one_line_that_names_it(tmp_path: Path, name: str) -> None:
    change = HOSTILE_TOKENIZERS[name]
    tokenizer_of(tmp_path, byte_level_metadata())
    path = tmp_path / "tokenizer.json"
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        path.write_text(json.dumps(changed_in(json.loads(path.read_text("utf-8")), change)), encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as caught:
            Tokenizer.from_folder(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def changed_in(definition: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The definition with these values in place of its own, at whatever depth."""
    both = {key for key in change if isinstance(change[key], dict) and isinstance(definition.get(key), dict)}
    return {**definition, **change, **{key: changed_in(definition[key], change[key]) for key in both}}


def test_a_file_that_is_too_large_for_a_tokenizer_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(ModelError, match="it has 1048576 MiB, and no tokenizer has more than 256"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?:a|aa)+$", "(a*)*$", "(a|a)*$"])
def test_an_expression_that_would_search_for_ever_refuses_the_text_and_no_other(tmp_path: Path, pattern: str) -> None:
    tokenizer_of(tmp_path, byte_level_metadata())
    path = tmp_path / "tokenizer.json"
    definition = changed_in(json.loads(path.read_text("utf-8")), {"pre_tokenizer": regex(pattern)})
    path.write_text(json.dumps(definition), encoding="utf-8")
    tokenizer = Tokenizer.from_folder(tmp_path)
    with pytest.raises(BadRequest, match="The model's tokenizer fails on this text") as caught:
        tokenizer.encode("a" * 60 + "b")
    assert caught.value.code == "tokenizer_failed"
    assert tokenizer.decode(tokenizer.encode("aab")) == "aab"


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@settings(fuzz, max_examples=max(10, NUM_EXAMPLES // 4))
@given(data=st.data())
def test_whatever_a_model_writes_becomes_events(dialect: str, data: st.DataObject) -> None:
    words = st.sampled_from([*DIALECTS[dialect].markers, '{"name": "f", "arguments": {', "f", '"', "}", "]", "<", "\n"])
    pieces = data.draw(st.lists(words | st.text(max_size=8), max_size=30))
    events_of(pieces, tool_dialect=dialect, tools=[ToolSpec("f")])


@fuzz
@given(source=st.text(alphabet="{}%# \n'\"()[]|.,:=~+-*/0123456789abdefgimnorstwxyz", max_size=60))
def test_a_random_template_renders_or_is_refused(source: str) -> None:
    with in_one_line(ModelError, TemplateFailed):
        template = ChatTemplate(source, special_tokens={}, control_tokens=["<|im_end|>"], max_work=1 << 16)
        template.render([{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(999999999) %}a{% endfor %}",
        "{{ 'a' * 999999999 }}",
        "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{{ (9 ** 9) ** 9 ** 9 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
    ],
)
def test_a_hostile_template_is_stopped(source: str) -> None:
    with pytest.raises((ModelError, TemplateFailed)):
        ChatTemplate(source, special_tokens={}, control_tokens=[]).render([{"role": "user", "content": "Hi"}])


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return make_grammars()


@fuzz
@given(schema=st.dictionaries(st.sampled_from("type properties items enum anyOf $ref pattern minLength".split()), JSON))
def test_a_random_schema_compiles_or_is_refused(compiler: GrammarCompiler, schema: dict[str, Any]) -> None:
    with suppress(GrammarError, GrammarTooComplex):
        compiler.compile(grammar_text(json_schema_part(schema))).allowed()


@fuzz
@given(text=st.text(max_size=40) | st.text(alphabet='start: abc"|()*+?[]{}/\\\n%', max_size=40).map("start: {}".format))
def test_a_random_grammar_or_pattern_compiles_or_is_refused(compiler: GrammarCompiler, text: str) -> None:
    for make in (user_part, regex_part):
        refusals: list[Exception] = []
        try:
            compiler.compile(grammar_text(make(text))).allowed()
        except (GrammarError, GrammarTooComplex) as error:
            refusals.append(error)
        assert not any("panic" in str(error).lower() for error in refusals)


def external_model(folder: Path, location: str) -> tuple[TinyDecoder, Path]:
    """A decoder whose largest tensor lies in another file."""
    decoder = TinyDecoder()
    graph = decoder.write(folder)
    model = onnx.load(graph)
    tensor = max(model.graph.initializer, key=lambda item: len(item.raw_data))
    for path in (folder / "weights", folder.parent / "secret"):
        path.write_bytes(tensor.raw_data)
    size = str(len(tensor.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", size)):
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
    onnx.save(model, graph)
    return decoder, graph


def run(decoder: TinyDecoder, graph: Path) -> None:
    cpu = choose_provider("cpu")
    open_ort_runner(graph, context_length=decoder.context, head_size=decoder.head_dim, threads=1, provider=cpu).close()


@pytest.mark.parametrize("location", ["../secret", "folder/../../secret", "link"])
def test_weights_are_not_read_from_outside_of_the_models_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    run(*external_model(folder, "weights"))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = external_model(folder, location)
    with pytest.raises((ModelError, CannotRun)):
        run(*model)
    model = external_model(folder, str(tmp_path / "secret"))
    with pytest.raises((ModelError, CannotRun)):
        run(*model)
