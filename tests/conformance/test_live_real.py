"""The official SDKs drive a real server through the suite's own client programs; the command line tells how it went."""

import shutil

import pytest

from conformance.__main__ import main
from conformance.cases import all_cases
from conformance.live import live
from conformance.results import FAIL, PASS
from conformance.targets import Targets

pytestmark = pytest.mark.real

OFFERED = [case for case in all_cases() if case.needs != "guard"]


def shortcomings(features: set[str], language: str, targets: Targets) -> list[tuple[str, tuple[str, ...]]]:
    cases = [case for case in OFFERED if case.feature in features]
    results = list(live(cases, language, targets))
    assert {item.feature for item in results} == features
    return [(item.case, item.details) for item in results if item.outcome != PASS]


def test_every_case_passes_with_the_python_sdks(healthy_targets: Targets) -> None:
    features = {case.feature for case in OFFERED if not case.is_http}
    assert shortcomings(features, "python", healthy_targets) == []


def test_streams_and_errors_pass_with_the_asynchronous_python_sdks(healthy_targets: Targets) -> None:
    features = {"Chat streams", "Errors", "Responses as streams", "Messages as streams", "Chats as lines"}
    assert shortcomings(features, "python-async", healthy_targets) == []


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on this machine")
def test_streams_and_tools_pass_with_the_node_sdks(healthy_targets: Targets) -> None:
    features = {"Chat streams", "Tool calls", "Responses as streams", "Tools of messages", "Chats as lines"}
    assert shortcomings(features, "node", healthy_targets) == []


def test_a_defect_is_found_through_the_sdk_too(healthy: tuple[str, str], mutants_url: str) -> None:
    broken = Targets.of(healthy[0] + "/v1", embeddings_url=None, guard_url=None, api_key="unused")
    broken.main.base_url = f"{mutants_url}/@lost-delta/v1"
    cases = [case for case in OFFERED if case.name == "The deltas of a stream join to the plain answer"]
    (result,) = live(cases, "python", broken)
    assert result.outcome == FAIL
    assert "the stream joins to" in result.details[0]


def test_the_exit_status_is_0_for_a_healthy_server_and_1_for_a_broken_one(
    healthy: tuple[str, str], mutants_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "--features", "chat", "--case", "a page on a loopback", "--base-url"]
    assert main([*words, healthy[0] + "/v1"]) == 0
    assert main([*words, f"{mutants_url}/@no-cors/v1"]) == 1
    assert "access-control-allow-origin is missing" in capsys.readouterr().out


def test_what_a_server_does_not_offer_is_said_and_is_no_pass(
    healthy: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["replay", "--dialects", "openai", "--case", "a text has a vector", "--base-url", healthy[0] + "/v1"]) == 0
    )
    out = capsys.readouterr().out
    assert "not offered: OpenAI: Embeddings [SDKs]: POST /embeddings answers 404" in out
    assert out.endswith("0 pass, 0 fail, 1 not offered\n")


def test_a_server_that_is_not_there_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--base-url", "http://127.0.0.1:1/v1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
