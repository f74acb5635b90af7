"""Hold each package of the server to its coverage floor: `check_coverage.py .coverage.json`."""

import json
import sys
from pathlib import Path

FLOORS = {"obeaver/web/": 90.0, "obeaver/api/": 90.0, "obeaver/text/": 90.0, "obeaver/engine/": 90.0}


def covered_percent(files: dict[str, dict[str, dict[str, int]]], prefix: str) -> float:
    """Lines and branches covered in the files under a prefix, in percent."""
    rows = [row["summary"] for name, row in files.items() if name.startswith(prefix)]
    covered = sum(row["covered_lines"] + row["covered_branches"] for row in rows)
    total = sum(row["num_statements"] + row["num_branches"] for row in rows)
    return 100.0 * covered / total if total else 0.0


def main(report: Path) -> int:
    """Print one line a package; 1 if a floor is not reached."""
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    failed = 0
    for prefix, floor in FLOORS.items():
        percent = covered_percent(files, prefix)
        failed += percent < floor
        print(f"{prefix:20} {percent:6.1f} %  (floor {floor:.0f} %)")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
