"""The suite knows no server: it imports nothing of obeaver, and its cases and recordings are whole."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import conformance
from conformance import recordings
from conformance.cases import all_cases, orders
from conformance.checks.relations import RELATIONS

FOLDER = Path(conformance.__file__).parent


def test_no_module_of_the_suite_imports_obeaver() -> None:
    names = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    assert "conformance" in names
    assert "obeaver" not in names


def test_the_command_line_starts_without_obeaver() -> None:
    code = "import sys, conformance.__main__\nprint(sorted(name for name in sys.modules if name.startswith('obeaver')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert done.stdout == "[]\n"


def test_relations_that_cases_name_exist_and_are_all_used() -> None:
    assert {name for case in all_cases() for name in case.relations} == set(RELATIONS)


def test_recordings_come_from_two_majors_of_the_python_sdk_and_from_the_node_sdk() -> None:
    titles = {(item.client, item.version.split(".")[0]) for item in recordings.load()}
    assert len([major for client, major in titles if client == "openai-python"]) >= 2
    assert any(client == "openai-node" for client, _ in titles)


def test_every_recording_has_every_step_of_every_case_that_its_client_can_make() -> None:
    recorded = [case for case in all_cases() if case.is_recorded]
    for item in recordings.load():
        labels = {order["label"] for order in orders(recorded, item.language, "any")}
        assert labels == set(item.sessions), item.title


def test_recordings_hold_no_secret() -> None:
    for path in recordings.FOLDER.glob("*.json"):
        sessions = json.loads(path.read_text(encoding="utf-8"))["sessions"]
        exchanges = [exchange for session in sessions.values() for exchange in session]
        keys = {exchange["request"]["headers"]["authorization"] for exchange in exchanges}
        assert keys == {recordings.SCRUBBED}
        assert not re.search(r"Bearer |sk-[A-Za-z0-9]", path.read_text(encoding="utf-8"))
