"""The whole suite on the default model: real servers, real figures. No bound on any of them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.check import stopwatch
from benchmarks.contenders.servers import Server, obeaver
from benchmarks.results.document import read_results

pytestmark = [pytest.mark.real, pytest.mark.slow]


def benchmarks(*words: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture
def server(default_model: Path) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(obeaver(str(default_model)))


def test_a_run_measures_each_contender_and_a_later_run_goes_on_and_can_be_compared(
    server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["--out", str(out), "--provider", "cpu", "--runner", "ort", "--peer", f"other={server.url}"]
    ran = benchmarks(*words, "--quick", "--rounds", "1", "--only", "decode-1", "--budget", "600")
    assert ran.returncode == 0, ran.stderr
    assert "obeaver cpu/ort" in ran.stdout
    first = read_results(out / "results.json")
    row = first.row("decode-1.rate")
    assert row is not None
    assert {"obeaver cpu/ort", "other"} <= set(row.contenders)
    assert first.failures == []
    assert "obeaver cpu/ort" in (out / "RESULTS.md").read_text()

    ran = benchmarks(*words, "--quick", "--rounds", "2", "--only", "decode-1", "--budget", "600", "--continue")
    assert ran.returncode == 0, ran.stderr
    row = read_results(out / "results.json").row("decode-1.rate")
    assert row is not None
    assert [len(row.values(name)) for name in ("obeaver cpu/ort", "other")] == [2, 2]

    compared = benchmarks("compare", str(out / "results.json"), str(out / "results.json"))
    assert compared.returncode == 0
    assert "worse: nothing" in compared.stdout


def test_both_runners_lose_the_same_little_of_the_float32_model(default_model: Path, tmp_path: Path) -> None:
    """0.0136 was measured, by the import as well: tests of the import hold that it writes down what is so."""
    assert default_model.is_dir()
    ran = benchmarks("--out", str(tmp_path), "--provider", "cpu", "--only", "fidelity")
    assert ran.returncode == 0, ran.stderr
    results = read_results(tmp_path / "results.json")
    kl, perplexity = results.row("fidelity.mean_kl"), results.row("fidelity.perplexity")
    assert kl is not None
    assert perplexity is not None
    ort, genai = "obeaver cpu/ort", "obeaver cpu/genai"
    assert 0 < kl.median(ort) < 0.02
    assert kl.median(genai) == pytest.approx(kl.median(ort), rel=0.15)
    assert perplexity.median(genai) == pytest.approx(perplexity.median(ort), rel=0.01)


def test_the_stopwatch_script_measures_with_curl_alone(server: Server) -> None:
    assert stopwatch(server.url, "decode", 2) > 0
    assert stopwatch(server.url, "prefill", 60) > 0


def test_the_stopwatch_script_fails_when_the_server_does() -> None:
    ran = subprocess.run(
        ["bash", "benchmarks/stopwatch.sh", "http://127.0.0.1:9", "prefill", "5"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert ran.returncode != 0
    assert "curl" in ran.stderr
