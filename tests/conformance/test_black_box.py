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
from conformance.dialects import DIALECTS

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


def test_recordings_come_from_each_sdk_in_python_and_node_and_from_two_majors_of_openais() -> None:
    titles = {(item.client, item.version.split(".")[0]) for item in recordings.load()}
    clients = {f"{dialect.sdk}-{language}" for dialect in DIALECTS for language in ("python", "node")}
    assert {client for client, _ in titles} == clients
    assert len([major for client, major in titles if client == "openai-python"]) >= 2


def test_every_recording_has_every_step_of_every_case_that_its_client_can_make() -> None:
    recorded = [case for case in all_cases() if case.is_recorded]
    for item in recordings.load():
        mine = [case for case in recorded if case.dialect.sdk == item.sdk]
        labels = {order["label"] for order in orders(mine, item.language, "any")}
        assert labels == set(item.sessions), item.title


def test_recordings_hold_no_secret() -> None:
    for path in recordings.FOLDER.glob("*.json"):
        sessions = json.loads(path.read_text(encoding="utf-8"))["sessions"]
        exchanges = [exchange for session in sessions.values() for exchange in session]
        sent = [exchange["request"]["headers"] for exchange in exchanges]
        keys = [[headers[name] for name in recordings.KEY_HEADERS if name in headers] for headers in sent]
        assert {tuple(found) for found in keys} == {(recordings.SCRUBBED,)}
        assert not re.search(r"Bearer |\bsk-[A-Za-z0-9]{8}", path.read_text(encoding="utf-8"))
