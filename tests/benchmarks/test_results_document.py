"""Results as a file: what is written can be read, what is not of that form is refused."""

import json
from pathlib import Path

import jsonschema
import pytest

from benchmarks.results import environment
from benchmarks.results.document import Failure, Metric, NotResults, Results, Row, read_results, results_schema
from benchmarks.results.markdown import page
from benchmarks.results.plots import write_plots
from benchmarks.results.terminal import print_results

RATE = Metric("decode-1.rate", "decode, 1 stream", "tok/s")
GAP = Metric("decode-1.gap_p50", "between tokens, p50", "ms", higher_is_better=False)


def some_results(folder: Path) -> Results:
    weights = folder / "model.onnx"
    weights.write_bytes(b"weights")
    results = Results(
        settings={"rounds": 2, "threads": 2},
        environment=environment.describe([weights]),
        started="2026-01-01T00:00:00+00:00",
        contenders={"ours": {"engine": "onnxruntime, CPU"}, "peer": {"version": "version 1"}},
    )
    rows = [Row(RATE, "streams", "ours"), Row(GAP, "streams", "ours")]
    results.add(rows, {"ours": {RATE.id: 100.0, GAP.id: 10.0}, "peer": {RATE.id: 50.0, GAP.id: 25.0}})
    fresh = [Row(RATE, "streams", "ours"), Row(GAP, "streams", "ours")]
    results.add(fresh, {"ours": {RATE.id: 120.0, GAP.id: 8.0}, "peer": {RATE.id: 40.0, GAP.id: 20.0}})
    results.fail(Failure("decode-8", "peer", "it does not start"))
    return results


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = some_results(tmp_path)
    written.write(tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == written


def test_the_schema_is_a_schema_and_the_file_holds_to_it(tmp_path: Path) -> None:
    some_results(tmp_path).write(tmp_path / "results.json")
    jsonschema.Draft202012Validator.check_schema(results_schema())
    jsonschema.validate(json.loads((tmp_path / "results.json").read_text()), results_schema())


def test_the_file_has_medians_spreads_and_advantages(tmp_path: Path) -> None:
    some_results(tmp_path).write(tmp_path / "results.json")
    rate, gap = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert rate["medians"] == {"ours": 110.0, "peer": 45.0}
    assert rate["spreads"]["ours"] == pytest.approx(10 / 110, abs=1e-4)
    assert rate["advantages"] == {"peer": 2.5}
    assert gap["advantages"] == {"peer": 2.5}


def test_an_advantage_is_the_median_of_the_rounds_own_ratios_and_needs_both_in_a_round() -> None:
    rounds = [{"ours": 100.0, "peer": 50.0}, {"ours": 10.0, "peer": 5.0}, {"ours": 30.0}, {"peer": 1.0}]
    assert Row(RATE, "streams", "ours", rounds=rounds).advantage("peer") == 2.0
    assert Row(RATE, "streams", "ours", rounds=rounds[2:]).advantage("peer") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document.pop("rows"), "'rows' is a required property"),
        (lambda document: document.update(format=2), r"\$.format"),
        (lambda document: document["rows"][0].update(rounds=[{"ours": "fast"}]), r"\$.rows\[0\].rounds\[0\].ours"),
        (lambda document: document["environment"]["models"].update(file="no hash"), r"\$.environment.models"),
    ],
)
def test_a_file_of_another_form_is_refused_by_the_place_in_it(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "results.json"
    some_results(tmp_path).write(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(NotResults, match=words):
        read_results(path)


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotResults, match="there is no file"):
        read_results(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("rows")
    with pytest.raises(NotResults, match="no JSON"):
        read_results(tmp_path / "text.json")


def test_the_page_tells_machine_figures_ratios_and_what_failed(tmp_path: Path) -> None:
    text = page(some_results(tmp_path), ["throughput.svg"])
    assert "cores" in text
    assert "![throughput](throughput.svg)" in text
    assert "| decode, 1 stream, tok/s | 110 ±9% | 45 ±11% | 2.50 |" in text
    assert "- peer: it does not start (decode-8)" in text


def test_the_terminal_gets_a_line_for_each_contender_and_each_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_results(some_results(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ours") and "110 ±9%" in line for line in lines)
    assert any(line.startswith("peer") and "45 ±11%" in line for line in lines)
    assert any(line.startswith("decode, 1 stream, tok/s") and line.endswith("2.50") for line in lines)
    assert "not measured on peer: it does not start (decode-8)" in lines


def test_plots_are_made_of_what_there_is_and_twice_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need the extra [bench]")
    first = [path.read_bytes() for path in write_plots(some_results(tmp_path), tmp_path)]
    again = write_plots(some_results(tmp_path), tmp_path)
    assert [path.name for path in again] == ["throughput.svg", "latency.svg"]
    assert [path.read_bytes() for path in again] == first
    assert b"<svg" in first[0]
    assert write_plots(Results({}, {}, ""), tmp_path) == []
