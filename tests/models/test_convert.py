"""Checkpoints that become models by onnxruntime-genai's builder.

What needs the builder is skipped unless `obeaver[convert]` is installed.
"""

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.hub_server import COMMIT, HubServer, Repo
from support.server_process import serve
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from obeaver.errors import ModelError
from obeaver.models.convert import Target, local_checkpoint
from obeaver.models.convert_source import find_checkpoint
from obeaver.models.progress import SilentProgress
from obeaver.models.store import Store

MAKE = Path(__file__).parents[1] / "data" / "builder_exports" / "make.py"
SILENT = SilentProgress()
needs_builder = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "onnx_ir")),
    reason="needs obeaver[convert]: PyTorch, transformers and onnx-ir",
)


@pytest.mark.parametrize(
    ("precision", "provider", "message"),
    [
        ("fp16", "cpu", "makes no fp16 models for cpu: choose int4, int8, fp32"),
        ("int2", "cpu", "makes no int2 models for cpu: choose int4, int8, fp32"),
        ("int8", "dml", "makes no int8 models for dml: choose int4, fp16"),
        ("int4", "trt-rtx", "makes no int4 models for trt-rtx: choose fp16"),
        ("int4", "openvino", "makes nothing for openvino; it does for cpu, cuda, dml, webgpu, trt-rtx"),
    ],
)
def test_what_the_builder_does_not_make_is_refused(precision: str, provider: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Target(precision, provider).check()


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target("int4", "cpu"), "my-model-v2-int4"),
        (Target("fp16", "cuda"), "my-model-v2-fp16-cuda"),
        (Target("int4", "cpu", "Mine"), "mine"),
    ],
)
def test_a_model_is_named_after_its_checkpoint_and_format(target: Target, name: str) -> None:
    assert target.name_for("My Model (v2)") == name


def run(code: str, *words: str, home: Path) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-c", f"import sys\n{code}\nfrom obeaver.cli import main\nsys.exit(main(sys.argv[1:]))"]
    environ = {**os.environ, "OBEAVER_HOME": str(home)}
    return subprocess.run([*line, *words], env=environ, capture_output=True, text=True, check=False)


def convert(source: Path, *words: str, home: Path) -> "subprocess.CompletedProcess[str]":
    return run("", "convert", str(source), *words, home=home)


def test_without_its_packages_it_says_how_to_get_them(tmp_path: Path) -> None:
    done = run("sys.modules['torch'] = None", "convert", str(tmp_path), "-p", "int4", home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("obeaver: converting needs torch")
    assert done.stderr.endswith("not installed: pip install 'obeaver[convert]'\n")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()


def write(folder: Path, **files: object) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_DOT_", ".")).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"is no Hugging Face checkpoint: it has no config\.json"),
        ({"config_DOT_json": {"model_type": "llama"}}, r"is no complete checkpoint: it has no \*\.safetensors"),
        ({"genai_config_DOT_json": {}}, "is a model folder already: obeaver serve "),
    ],
)
def test_a_folder_without_a_checkpoint_is_refused(
    tmp_path: Path, store: Store, files: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        local_checkpoint(write(tmp_path / "folder", **files), store, progress=SILENT)


def test_an_encoder_needs_no_conversion(tmp_path: Path, store: Store) -> None:
    folder = write_sentence_transformer(tmp_path / "st", bert_weights(), bert_config())
    with pytest.raises(ModelError, match="holds an encoder, which needs no conversion: obeaver serve-embed"):
        local_checkpoint(folder, store, progress=SILENT)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ModelError, match=r"there is no folder .*/none"):
        find_checkpoint(str(tmp_path / "none"), store, progress=SILENT)


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path, store: Store) -> None:
    files = {"config_DOT_json": {"model_type": "llama"}, "model_DOT_safetensors": "weights"}
    first = local_checkpoint(write(tmp_path / "a", **files), store, progress=SILENT)
    second = local_checkpoint(write(tmp_path / "b", **files), store, progress=SILENT)
    other = local_checkpoint(write(tmp_path / "c", **{**files, "more_DOT_json": {}}), store, progress=SILENT)
    assert first.sha256 == second.sha256
    assert first.sha256 != other.sha256


WriteCheckpoint = Callable[[Path], Path]


@pytest.fixture
def write_checkpoint() -> WriteCheckpoint:
    """Writes a random Llama of two layers, with a chat template."""
    maker = runpy.run_path(str(MAKE), run_name="make")

    def write(folder: Path) -> Path:
        maker["write_checkpoint"](maker["EXPORTS"]["llama_int4"], folder)
        (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
        return folder

    return write


@needs_builder
@pytest.mark.slow
def test_a_checkpoint_becomes_a_model_that_says_the_same(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> None:
    home, checkpoint = tmp_path / "home", write_checkpoint(tmp_path / "checkpoint")
    done = convert(checkpoint, "-p", "fp32", "--name", "mine", home=home)
    assert (done.returncode, done.stdout) == (0, f"{home / 'models' / 'mine'}\n"), done.stderr
    stored = Store(home).find("mine")
    assert stored is not None
    assert not (stored.folder / ".cache").exists()
    made = json.loads((stored.folder / "obeaver.json").read_text())
    assert (made["name"], made["weights"], made["source"]["place"]) == ("mine", "fp32", str(checkpoint))

    prompt_ids = [1, 40, 70, 100, 7, 230, 55]
    expected = greedy_text(checkpoint, prompt_ids, num_tokens=12)
    with serve("mine", OBEAVER_HOME=str(home)) as server:
        body = {"prompt": prompt_ids, "max_tokens": 12, "temperature": 0, "ignore_eos": True}
        answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).json()
    assert answer["choices"][0]["text"] == expected


def greedy_text(checkpoint: Path, prompt_ids: list[int], *, num_tokens: int) -> str:
    """What transformers makes of it."""
    import torch  # type: ignore[import-not-found, unused-ignore]
    import transformers  # type: ignore[import-not-found, unused-ignore]

    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    ids = list(prompt_ids)
    with torch.no_grad():
        for _ in range(num_tokens):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    return str(tokenizer.decode(ids[len(prompt_ids) :], clean_up_tokenization_spaces=False, skip_special_tokens=True))


@needs_builder
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int4", "int8"])
def test_quantised_formats_are_made_once(write_checkpoint: WriteCheckpoint, tmp_path: Path, precision: str) -> None:
    home, checkpoint = tmp_path / "home", write_checkpoint(tmp_path / "llama")
    folder = home / "models" / f"llama-{precision}"
    assert convert(checkpoint, "-p", precision, home=home).stdout == f"{folder}\n"
    shown = json.loads(run("", "show", folder.name, "--json", home=home).stdout)
    assert (shown["weights"], shown["kv"], shown["provider"], shown["problem"]) == (precision, "float32", "cpu", None)
    before = folder.stat().st_ino
    again = convert(checkpoint, "-p", precision, home=home)
    assert (again.returncode, again.stdout, folder.stat().st_ino) == (0, f"{folder}\n", before)
    assert "convert" not in again.stderr


@needs_builder
@pytest.mark.slow
def test_a_builder_that_fails_leaves_one_line_and_no_model(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> None:
    home, checkpoint = tmp_path / "home", write_checkpoint(tmp_path / "llama")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "architectures": ["OddForCausalLM"]}))
    done = convert(checkpoint, "-p", "int4", home=home)
    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"obeaver: the model builder cannot convert {checkpoint}: NotImplementedError: ")
    assert [path.name for path in (home / "models").rglob("*") if path.is_file()] == []


@needs_builder
@pytest.mark.slow
def test_another_model_of_that_name_is_not_replaced_unasked(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = write_checkpoint(tmp_path / "a" / "llama"), write_checkpoint(tmp_path / "b" / "llama")
    assert convert(first, "-p", "int4", home=home).returncode == 0
    done = convert(second, "-p", "int4", home=home)
    assert done.returncode == 1
    assert done.stderr.endswith("obeaver: another model is called llama-int4: choose a name with --name\n")
    assert convert(second, "-p", "int4", "--name", "llama-int4", home=home).returncode == 0


@needs_builder
@pytest.mark.slow
def test_a_checkpoint_of_the_hub_is_fetched_converted_and_recorded(
    hub: HubServer, write_checkpoint: WriteCheckpoint, tmp_path: Path
) -> None:
    checkpoint = write_checkpoint(tmp_path / "llama")
    hub.repos["Org/Llama"] = Repo({path.name: path.read_bytes() for path in checkpoint.iterdir()})
    home = tmp_path / "home"
    for _ in range(2):
        line = [sys.executable, "-m", "obeaver", "convert", "Org/Llama", "-p", "int4"]
        environ = {**os.environ, **hub.environment(), "OBEAVER_HOME": str(home)}
        done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{home / 'models' / 'llama-int4'}\n"), done.stderr
    stored = Store(home).find("llama-int4")
    assert stored is not None
    assert stored.origin is not None
    assert (stored.origin.address, stored.origin.licence) == (f"hf:Org/Llama@{COMMIT}", "apache-2.0")
    assert len(hub.gets("model.safetensors")) == 1, "the second time the store has it"
    assert list((home / "downloads").iterdir()) == []
