"""Run the measurements one after the other: `python -m benchmarks [NAME …] [--rounds N]`; all of them without names."""

import argparse
import subprocess
import sys

MEASUREMENTS = ("engine", "serve", "constrained")


def main() -> int:
    """Run each in a process of its own; the first failure ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each question (default 3)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement named {', '.join(sorted(unknown))}")
    for name in asked.names or MEASUREMENTS:
        print(f"\n{name}\n")
        command = [sys.executable, "-m", f"benchmarks.{name}", "--rounds", str(asked.rounds)]
        if status := subprocess.run(command, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
