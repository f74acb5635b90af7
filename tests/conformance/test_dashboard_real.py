"""The dashboard's port answers the suite as the one of `serve` does; `make conformance` asks it everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server_process import serve

from conformance import recordings
from conformance.cases import all_cases
from conformance.replay import replay
from conformance.results import PASS
from conformance.targets import Targets

pytestmark = pytest.mark.real

ASKED = {"HTTP and browsers", "Models", "Errors", "Chat streams", "Responses as streams", "Messages", "Chats as lines"}


@pytest.fixture(scope="module")
def dashboard(default_model: Path) -> Iterator[Targets]:
    """A dashboard with the default model."""
    with serve(default_model.name, "--offline", command="dashboard") as server:
        yield Targets.of(server.url + "/v1", embeddings_url=None, guard_url=None, api_key="unused")


def test_the_dashboard_speaks_the_protocol(dashboard: Targets) -> None:
    missing = dashboard.missing()
    cases = [case for case in all_cases() if case.feature in ASKED and (case.dialect.name, case.needs) not in missing]
    captured = {item.sdk: item for item in recordings.load() if item.language == "python"}
    newest = list(captured.values())
    results = list(replay(cases, newest, dashboard))
    assert {item.feature for item in results} == ASKED
    assert [(item.case, item.details) for item in results if item.outcome != PASS] == []
