"""The default model's own file, through a stand-in hub and from a URL: imported, and answering."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.disk import bytes_below
from support.hub_server import Fault, HubServer, Repo

from obeaver.config import DEFAULT_MODEL
from obeaver.models.catalog import load_catalog
from obeaver.models.store import Store

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTION = ("What is the capital of France?", "--temperature", "0", "--max-tokens", "8")


def obeaver(*words: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "obeaver", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_the_default_models_file_from_the_hub_gives_the_default_model(
    hub: HubServer, default_gguf: Path, default_model: Path, tmp_path: Path
) -> None:
    hub.repos["Org/SmolLM2-135M-GGUF"] = Repo({"SmolLM2-135M-Instruct.Q4_1.gguf": default_gguf.read_bytes()})
    hub.faults += [Fault("/cdn/", cut_after=40_000_000, times=1), Fault("/cdn/", status=503, times=1)]
    home = str(tmp_path / "home")
    folder, told = obeaver("pull", "hf:Org/SmolLM2-135M-GGUF", "--home", home)
    assert "trying again" in told
    assert [seen.headers.get("range") for seen in hub.gets("/cdn/")] == [None, "bytes=40000000-", "bytes=40000000-"]
    assert hashes(Path(folder)) == hashes(default_model)
    num_requests = len(hub.seen)
    answer, _ = obeaver("run", "hf:Org/SmolLM2-135M-GGUF", *QUESTION, "--home", home)
    default, _ = obeaver("run", DEFAULT_MODEL, *QUESTION, "--home", str(default_model.parents[1]))
    assert answer == default != ""
    assert len(hub.seen) == num_requests, "what is in the store is not asked for"


def hashes(folder: Path) -> dict[str, str]:
    """Of everything but what tells when and from where it was made."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in ("store.json", "obeaver.json")
    }


def test_the_default_models_file_from_a_url_answers(hub: HubServer, default_gguf: Path, tmp_path: Path) -> None:
    hub.web["model.gguf"] = default_gguf.read_bytes()
    sha256, home = load_catalog()[DEFAULT_MODEL].sources[0].sha256, tmp_path / "home"
    asked = f"{hub.url}/web/model.gguf#sha256={sha256}"
    folder, _ = obeaver("pull", asked, "--name", "mine", "--weights", "fp32", "--kv", "float32", "--home", str(home))
    answer, _ = obeaver("run", "mine", *QUESTION, "--home", str(home), "--offline")
    assert "Paris" in answer
    stored = Store(home).check("mine", deep=True)
    assert (str(stored.folder), stored.recipe and stored.recipe.source_sha256) == (folder, sha256)
    assert json.loads((stored.folder / "store.json").read_text())["origin"]["asked"] == asked
    assert bytes_below(home / "downloads", "*") == 0
