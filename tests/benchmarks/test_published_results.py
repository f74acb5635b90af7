"""The results that are published: page and plots are made of the JSON beside them."""

from pathlib import Path

import pytest

from benchmarks.results.document import read_results
from benchmarks.results.markdown import page

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"


def test_the_published_page_is_what_the_published_json_makes() -> None:
    plots = [path.name for path in (FOLDER / "throughput.svg", FOLDER / "latency.svg") if path.exists()]
    assert (FOLDER / "RESULTS.md").read_text(encoding="utf-8") == page(read_results(FOLDER / "results.json"), plots)


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_the_published_page_has_a_row_for_each_provider(provider: str) -> None:
    assert f"| obeaver {provider}/ort |" in (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
