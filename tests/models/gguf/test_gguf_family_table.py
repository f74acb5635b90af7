"""The table of families in docs/models.md: what is listed is imported, and checked as `test_gguf_families.py` does."""

import re
from pathlib import Path

from obeaver.models.gguf.families import FAMILIES as IMPORTED


def test_the_documented_families_are_those_that_are_checked() -> None:
    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    table = text.partition("| family | models | since | checked against |\n")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[1:]]
    documented = [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(documented) == sorted(name for name, row in IMPORTED.items() if not row.embeds)
    assert all(row[3].strip().startswith("llama.cpp's logits, forward pass") for row in rows)
