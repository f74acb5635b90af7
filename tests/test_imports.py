"""Fences: which module may import which third-party package, and that a command starts light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "obeaver"

FENCES = {
    "onnxruntime": ("engine/runners/ort_runner", "engine/sessions/", "engine/encoding/session", "models/"),
    "onnxruntime_genai": ("engine/runners/genai_runner", "models/convert"),
    "llguidance": ("engine/grammar/grammar",),
    "jsonschema": ("api/contract/validation",),
    "jsonschema_rs": ("api/contract/validation",),
    "tokenizers": ("text/tokenizer", "models/sample_text"),
    "jinja2": ("text/chat_template",),
    "uvicorn": ("cli/serve", "cli/http_protocol"),
    "onnx": (
        "models/gguf/",
        "models/encoder/",
        "models/embedder/",
        "engine/runners/layer_parts",
        "engine/runners/prompt_attention",
        "engine/sessions/openvino_graph",
    ),
    "gguf": ("models/gguf/",),
    "huggingface_hub": ("models/sources/hub_repo", "models/hub_status"),
    "httpx2": ("models/sources/transfer", "models/sources/web_file"),
    "sqlite3": ("archive/",),
    "pynvml": ("monitor/nvidia",),
    "prometheus_client": ("api/metrics/", "api/system/condition", "api/encoders/condition"),
    "pythonjsonlogger": ("cli/logs",),
    "psutil": ("monitor/", "models/", "app", "engine/runners/", "threads"),
}


def imported_packages(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FENCES)
def test_a_third_party_package_is_imported_only_behind_its_fence(package: str) -> None:
    trespassers = [
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        if package in imported_packages(module)
        and not str(module.relative_to(PACKAGE).as_posix()).startswith(FENCES[package])
    ]
    assert trespassers == []


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [path for path in PACKAGE.rglob("*.py") if path.name in drawers] == []


def test_help_loads_nothing_heavy() -> None:
    heavy = sorted(FENCES.keys() | {"numpy"})
    code = (
        "import sys\n"
        "from obeaver.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "LOADED []"


def test_telemetry_is_off_before_a_runtime_can_load() -> None:
    code = (
        "import os, sys\n"
        "from obeaver.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    pass\n"
        "names = ('ORT_DISABLE_TELEMETRY', 'HF_HUB_DISABLE_TELEMETRY')\n"
        "loaded = {'onnxruntime', 'huggingface_hub'} & set(sys.modules)\n"
        "print('TELEMETRY', *(os.environ[name] for name in names), loaded or None)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "TELEMETRY 1 1 None"
