"""Write the parts of README.md that are made from code: `python docs/write_reference.py [--check]`."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obeaver.api.contract.schema_files import schema_document
from obeaver.api.contract.wording import expectation, synonyms
from obeaver.config import options

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONFORMANCE_REPORT = ROOT / "conformance" / "REPORT.md"


def options_table() -> str:
    """The options of `obeaver serve`, as Markdown."""
    lines = ["| option | default | |", "| --- | --- | --- |"]
    for row in options():
        default = "" if row.default is False or row.default in ((), "") else f"`{row.default}`"
        choices = f" ({', '.join(row.choices)})" if row.choices else ""
        lines.append(f"| `{row.flag}` | {default} | {row.help}{choices} |")
    return "\n".join(lines)


def parameters_table() -> str:
    """The parameters of a chat request, as Markdown: those that are honoured, then the names of those that are not."""
    properties = schema_document("chat_completion")["properties"]
    honoured = {name: schema for name, schema in properties.items() if "not" not in schema}
    lines = ["| parameter | type | default | |", "| --- | --- | --- | --- |"]
    lines += [_parameter_row(name, schema) for name, schema in honoured.items()]
    refused = [f"`{name}` ({properties[name]['description']})" for name in properties if name not in honoured]
    return "\n".join([*lines, "", f"Refused with a 400 that says so: {', '.join(refused)}."])


def _parameter_row(name: str, schema: Mapping[str, Any]) -> str:
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    description = f"{schema['description']} {synonyms(schema)}".strip()
    cells = (f"`{name}`", expectation(schema), default, description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def features_table() -> str:
    """The matrix of features and clients, out of the report that `make conformance` has written."""
    _, begin, rest = CONFORMANCE_REPORT.read_text(encoding="utf-8").partition("<!-- features:begin -->\n")
    table, end, _ = rest.partition("\n<!-- features:end -->")
    if not (begin and end):
        raise ValueError("conformance/REPORT.md has no table of features: run make conformance")
    return table


TABLES = {"features": features_table, "options": options_table, "parameters": parameters_table}
"""What stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""


def rendered(text: str) -> str:
    """The README with its generated parts renewed.

    Raises:
        ValueError: A table has no place, or two.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, *middle = re.split(f"({begin}|{end})", text)
        if middle[::2] != [begin, end]:
            raise ValueError(f"README.md has no single place for the table of {name}")
        text = "".join([before, begin, table(), "\n", end, middle[-1]])
    return text


def main(check: bool) -> int:
    """Write it; or with `check` only say whether it is up to date."""
    before = README.read_text(encoding="utf-8")
    after = rendered(before)
    if check:
        if before != after:
            print("README.md is out of date: run python docs/write_reference.py", file=sys.stderr)  # noqa: T201
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
