"""What stands in `deploy/`, judged by the tools of those who read it: linters skip, saying so, where they are not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent.parent / "deploy"

MOST_EXPOSED = 2.0
"""Of 10, in systemd's own count; a unit without hardening has 9.6."""


def tool(name: str) -> str:
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: make deploy-check installs it")
    return found


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    judged = subprocess.run([tool("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert (judged.returncode, judged.stdout) == (0, "")


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert users[-1] == "10001"


def test_the_manifest_is_valid_for_kubernetes() -> None:
    judged = subprocess.run(
        [tool("kubernetes-validate"), "--strict", DEPLOY / "kubernetes.yaml"], capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert (judged.stdout + judged.stderr).count(" passed for ") == 3


def test_the_unit_is_hardened() -> None:
    judged = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=yes", DEPLOY / "obeaver.service"],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for obeaver.service: ([\d.]+)", judged.stdout)
    assert found, judged.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_the_unit_has_no_line_that_systemd_does_not_know(tmp_path: Path) -> None:
    # The verifier wants the program to be there.
    unit = (DEPLOY / "obeaver.service").read_text(encoding="utf-8").replace("/opt/obeaver/bin/obeaver", "/bin/true")
    (tmp_path / "obeaver.service").write_text(unit, encoding="utf-8")
    judged = subprocess.run(
        [tool("systemd-analyze"), "verify", "--recursive-errors=no", tmp_path / "obeaver.service"],
        capture_output=True,
        text=True,
    )
    assert "obeaver.service" not in judged.stderr
    assert judged.returncode == 0
