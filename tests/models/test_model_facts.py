"""Facts of folders as the official exporter and obeaver's import write them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obeaver.errors import ModelError
from obeaver.models.facts import is_model_folder, read_facts
from obeaver.text.tool_calls.dialects import DIALECTS

Write = Callable[..., Path]

OFFICIAL: dict[str, Any] = {
    "model": {
        "bos_token_id": 1,
        "context_length": 8192,
        "decoder": {
            "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
            "filename": "model.onnx",
            "head_size": 64,
            "num_hidden_layers": 30,
        },
        "eos_token_id": [2, 0],
        "pad_token_id": 2,
        "type": "llama",
        "vocab_size": 49152,
    },
    "search": {"max_length": 8192},
}
PROVENANCE = {"name": "tiny", "weights": "int8", "kv": "float32", "licence": "MIT", "fidelity": {"kl": 0.005}}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a folder: the official configuration with changes in `model` and `decoder`, and further files by name."""

    def folder(
        model: dict[str, Any] | None = None, decoder: dict[str, Any] | None = None, **files: dict[str, Any] | str
    ) -> Path:
        path = tmp_path / "some-model"
        path.mkdir()
        parts = {**OFFICIAL["model"], **(model or {})}
        parts["decoder"] = {**OFFICIAL["model"]["decoder"], **(decoder or {})}
        texts = {"genai_config.json": {"model": parts}, "model.onnx": "graph", "tokenizer.json": "{}", **files}
        for name, content in texts.items():
            (path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return folder


def test_an_official_export_is_read(write: Write) -> None:
    folder = write()
    facts = read_facts(folder)
    assert (facts.name, facts.folder, facts.kind, facts.architecture) == ("some-model", folder, "chat", "llama")
    assert (facts.context_length, facts.vocab_size, facts.eos_ids, facts.bos_id) == (8192, 49152, (2, 0), 1)
    assert facts.head_size == 64
    assert facts.decoder_graph == folder / "model.onnx"
    assert facts.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert facts.created == int((folder / "genai_config.json").stat().st_mtime)
    assert facts.provider == "cpu"
    assert (facts.weights, facts.kv, facts.licence, facts.fidelity) == (None, None, None, None)
    assert (facts.chat_template, facts.tool_dialect, facts.think_markers, facts.special_tokens) == (
        None,
        None,
        None,
        {},
    )


def test_what_the_import_wrote_is_read(write: Write) -> None:
    facts = read_facts(write(**{"obeaver.json": {**PROVENANCE, "created": 1234}}))
    assert (facts.name, facts.weights, facts.kv, facts.licence) == ("tiny", "int8", "float32", "MIT")
    assert (facts.created, facts.fidelity) == (1234, {"kl": 0.005})


def test_an_embedding_model_says_so(write: Write) -> None:
    assert read_facts(write(**{"obeaver.json": {"kind": "embedding"}})).kind == "embedding"


@pytest.mark.parametrize(
    ("options", "provider"),
    [([], "cpu"), ([{"cuda": {"enable_cuda_graph": "0"}}], "cuda"), ([{"OpenVINO": {}}, {"cpu": {}}], "openvino")],
)
def test_the_provider_is_the_first_one_named(write: Write, options: list[Any], provider: str) -> None:
    assert read_facts(write(decoder={"session_options": {"provider_options": options}})).provider == provider


@pytest.mark.parametrize(("ids", "expected"), [(2, (2,)), ([2, 7], (2, 7)), (None, ()), (-1, ()), ([0, -1], (0,))])
def test_ids_come_as_one_or_many(write: Write, ids: object, expected: tuple[int, ...]) -> None:
    assert read_facts(write(model={"eos_token_id": ids})).eos_ids == expected


def test_a_model_may_have_no_bos(write: Write) -> None:
    assert read_facts(write(model={"bos_token_id": None})).bos_id is None


@pytest.mark.parametrize("part", ["vision", "speech", "encoder", "embedding"])
def test_a_model_of_several_graphs_has_no_single_decoder_graph(write: Write, part: str) -> None:
    assert read_facts(write(model={part: {}})).decoder_graph is None


def test_a_pipeline_is_no_single_decoder_graph(write: Write) -> None:
    assert read_facts(write(decoder={"pipeline": [{}]})).decoder_graph is None


def test_the_template_file_wins_over_the_configuration(write: Write) -> None:
    folder = write(**{"tokenizer_config.json": {"chat_template": "old"}, "chat_template.jinja": "new"})
    assert read_facts(folder).chat_template == "new"


@pytest.mark.parametrize(
    ("value", "template"),
    [
        ("text", "text"),
        (None, None),
        (
            [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}],
            "{% if tools %}t{% else %}d{% endif %}",
        ),
        ([{"name": "tool_use", "template": "t"}], "t"),
    ],
)
def test_the_template_may_stand_in_the_tokenizer_configuration(write: Write, value: object, template: object) -> None:
    assert read_facts(write(**{"tokenizer_config.json": {"chat_template": value}})).chat_template == template


def test_special_tokens_come_from_both_files_as_strings(write: Write) -> None:
    folder = write(
        **{
            "special_tokens_map.json": {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": None},
            "tokenizer_config.json": {"eos_token": "<|im_end|>", "add_bos_token": True, "model_max_length": 8192},
        }
    )
    assert read_facts(folder).special_tokens == {"bos_token": "<s>", "eos_token": "<|im_end|>"}


@pytest.mark.parametrize(
    ("template", "architecture", "dialect"),
    [
        ("{{ messages }}", "llama", None),
        ("<tool_call>\n{{ tools }}", "qwen2", "hermes"),
        ("<tool_call>\n<function=name>\n<parameter=key>", "qwen3", "qwen3_coder"),
        ("[AVAILABLE_TOOLS][TOOL_CALLS]", "mistral", "mistral_list"),
        ("[TOOL_CALLS]name[ARGS]", "mistral", "mistral"),
        ("<function=name>{}</function>", "llama", "llama3"),
        ("<|python_tag|>", "llama", "llama3"),
        ("Environment: ipython", "llama", "llama3"),
        ("<|tool|>{{ tools }}<|/tool|>", "phi3", "phi"),
        ("<|tool_call|>", "phi3", "phi"),
        ("functools[", "phi3", "functools"),
        ("<|function_calls|>", "llama", "function_calls"),
        ("<functioncall>", "llama", "functioncall"),
        ("{% if tools %}", "qwen2", "hermes"),
        ("{% if tools %}", "gemma", None),
    ],
)
def test_the_template_tells_the_dialect_of_tool_calls(
    write: Write, template: str, architecture: str, dialect: str | None
) -> None:
    folder = write(model={"type": architecture}, **{"chat_template.jinja": template})
    assert read_facts(folder).tool_dialect == dialect
    assert dialect in {*DIALECTS, None}, "the text layer can read what the facts name"


@pytest.mark.parametrize(
    ("template", "vocabulary", "markers"),
    [
        ("<think>\n\n</think>", "{}", ("<think>", "</think>")),
        ("content.split('</think>')", "{}", ("<think>", "</think>")),
        ("{{ messages }}", '{"a": ["<think>", "</think>"]}', ("<think>", "</think>")),
        ("[THINK][/THINK]", "{}", ("[THINK]", "[/THINK]")),
        ("{{ messages }}", '{"a": ["I <think> so"]}', None),
    ],
)
def test_think_markers_come_from_template_or_vocabulary(
    write: Write, template: str, vocabulary: str, markers: tuple[str, str] | None
) -> None:
    folder = write(**{"chat_template.jinja": template, "tokenizer.json": vocabulary})
    assert read_facts(folder).think_markers == markers


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("genai_config.json", "{", r"genai_config\.json is not JSON"),
        ("genai_config.json", "[" * 100_000, r"genai_config\.json is not JSON"),
        ("genai_config.json", "[]", r"genai_config\.json must hold a JSON object"),
        ("genai_config.json", "{}", r"genai_config\.json: model must be an object"),
        ("genai_config.json", '{"model": {"decoder": []}}', r"model\.decoder must be an object"),
        ("tokenizer_config.json", "{", r"tokenizer_config\.json is not JSON"),
        ("tokenizer_config.json", '{"chat_template": 1}', r"tokenizer_config\.json: chat_template must be a string"),
        ("obeaver.json", '{"fidelity": 1}', r"obeaver\.json: fidelity must be an object"),
        ("obeaver.json", '{"created": -1}', r"obeaver\.json: created must be a whole number above 0"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(write: Write, file: str, content: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_facts(write(**{file: content}))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"type": None}, r"model\.type must be a string"),
        ({"context_length": "8192"}, r"model\.context_length must be a whole number above 0"),
        ({"vocab_size": True}, r"model\.vocab_size must be a whole number above 0"),
        ({"eos_token_id": ["2"]}, r"model\.eos_token_id must be a token id or a list of them"),
    ],
)
def test_a_wrong_field_is_named(write: Write, model: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_facts(write(model=model))


@pytest.mark.parametrize("options", [{}, [1], "cpu"])
def test_provider_options_of_a_wrong_shape_are_named(write: Write, options: object) -> None:
    with pytest.raises(ModelError, match=r"session_options\.provider_options must be a list of objects"):
        read_facts(write(decoder={"session_options": {"provider_options": options}}))


@pytest.mark.parametrize("file", ["genai_config.json", "model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(write: Write, file: str) -> None:
    folder = write()
    (folder / file).unlink()
    with pytest.raises(ModelError, match=f"some-model is no complete model folder: {file} is missing"):
        read_facts(folder)


@pytest.mark.parametrize(
    "file", ["chat_template.jinja", "genai_config.json", "tokenizer.json", "tokenizer_config.json"]
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}".encode("utf-16"), "is UTF-16, not UTF-8 text: save it as UTF-8"),
        (b'{"a": "caf\xe9"}', "is not UTF-8 text: line 1 holds the byte 0xe9"),
        (b'{"a": "some words\0"}', "is not UTF-8 text: line 1 holds a NUL byte"),
    ],
)
def test_a_file_in_another_encoding_is_named(write: Write, file: str, content: bytes, reason: str) -> None:
    folder = write()
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{re.escape(file)} {reason}"):
        read_facts(folder)


def test_a_byte_order_mark_is_no_part_of_a_template(write: Write) -> None:
    folder = write()
    (folder / "chat_template.jinja").write_bytes("\ufeff{{ messages }}".encode())
    assert read_facts(folder).chat_template == "{{ messages }}"


@pytest.mark.parametrize("name", ["../outside.onnx", "sub/../../outside.onnx", "/outside.onnx"])
def test_a_graph_outside_the_folder_is_refused(write: Write, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.onnx").write_text("graph")
    with pytest.raises(ModelError, match="leads out of the folder"):
        read_facts(write(decoder={"filename": name}))


def test_a_graph_that_is_a_link_is_the_folder_s_own(write: Write, tmp_path: Path) -> None:
    folder = write()
    (folder / "model.onnx").rename(tmp_path / "blob")
    (folder / "model.onnx").symlink_to(tmp_path / "blob")
    assert read_facts(folder).decoder_graph == folder / "model.onnx"


def test_a_model_folder_is_known_by_its_configuration(write: Write, tmp_path: Path) -> None:
    assert is_model_folder(write())
    assert not is_model_folder(tmp_path)


def test_a_template_may_stand_in_a_file_of_its_own_that_is_json(write: Write) -> None:
    folder = write(**{"chat_template.json": {"chat_template": "{{ messages }}"}})
    assert read_facts(folder).chat_template == "{{ messages }}"


FOUNDRY = {"inference_model.json": {"PromptTemplate": {"prompt": "<|user|>{Content}<|end|>"}}}


def test_a_template_may_be_foundry_locals_where_there_is_no_other(write: Write) -> None:
    folder = write(**FOUNDRY)
    assert "<|user|>" in (read_facts(folder).chat_template or "")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert read_facts(folder).chat_template == "{{ messages }}"


def test_what_foundry_local_says_of_other_things_is_no_template(write: Write) -> None:
    assert read_facts(write(**{"inference_model.json": {"Name": "m", "PromptTemplate": None}})).chat_template is None
