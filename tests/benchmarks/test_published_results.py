"""The results that are published: page and plots are made of the JSON beside them."""

from pathlib import Path

import pytest

from benchmarks.results.document import read_results
from benchmarks.results.markdown import page

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "amd-epyc"], ids=lambda folder: folder.name)
def test_a_published_page_is_what_the_published_json_makes(folder: Path) -> None:
    plots = [path.name for path in (folder / "throughput.svg", folder / "latency.svg") if path.exists()]
    assert (folder / "RESULTS.md").read_text(encoding="utf-8") == page(read_results(folder / "results.json"), plots)


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_the_published_page_has_a_row_for_each_provider(provider: str) -> None:
    assert f"| obeaver {provider}/ort |" in (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
