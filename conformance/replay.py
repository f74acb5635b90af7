"""Send again what the SDKs have sent, and what no SDK would send, and read the answers byte by byte."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conformance import judge
from conformance.answers import order_of_endings, turn_from_bytes
from conformance.cases import Case, filled
from conformance.dialects import GUARD
from conformance.http_bytes import NoAnswer, Request, send
from conformance.proxy import HOP_BY_HOP
from conformance.recordings import KEY_HEADERS, SCRUBBED, Recording
from conformance.results import Result, result
from conformance.targets import Target, Targets
from conformance.turns import Turn

HTTP = "HTTP"
"""Column of the cases that are made without an SDK."""


def replay(
    cases: Iterable[Case], recordings: Sequence[Recording], targets: Targets, *, jobs: int = 1
) -> Iterator[Result]:
    """Each case without an SDK once, every other one with the traffic of each recording."""
    units = [(case, recording) for case in cases for recording in _recordings_for(case, recordings)]
    # Those for the guard fill its queue, so they go one by one, at the end.
    alone = [unit for unit in units if unit[0].needs == GUARD]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(
            lambda unit: replay_case(unit[0], unit[1], targets.of_case(unit[0])),
            [unit for unit in units if unit not in alone],
        )
    for case, recording in alone:
        yield replay_case(case, recording, targets.of_case(case))


def replay_case(case: Case, recording: Recording | None, target: Target) -> Result:
    """One test; without a recording, of a case that needs none."""
    if recording is None:
        turns = {number: [http_turn(case, step.arguments, target)] for number, step in enumerate(case.steps)}
        return result(case, HTTP, judge.violations(case, turns, target.facts))
    found: list[str] = []
    seen: dict[int, list[Turn]] = {}
    ids: dict[str, str] = {}
    for number, step in enumerate(case.steps):
        exchanges = recording.sessions.get(f"{case.slug}.{number}", [])
        if not exchanges:
            return result(case, recording.title, ["it is not in the recording: record again"])
        # What an SDK would add to its own parameters is in the recorded body.
        key = step.extra.get("api_key") or target.api_key
        for exchange in exchanges:
            turn = _sent_again(case, _with_ids(exchange["request"], ids), recording, target, key)
            seen.setdefault(number, []).append(turn)
            if isinstance(turn.value, dict) and exchange["response"].get("id"):
                ids[exchange["response"]["id"]] = str(turn.value.get("id"))
            found += _order_violations(case, turn, exchange["response"])
    return result(case, recording.title, [*judge.violations(case, seen, target.facts), *found])


def http_turn(case: Case, arguments: Mapping[str, Any], target: Target) -> Turn:
    """Make a request of a case's own words."""
    headers = dict(arguments.get("headers", {}))
    if not arguments.get("anonymous"):
        headers.setdefault("authorization", f"Bearer {target.api_key}")
    value = filled(arguments.get("json"), target.facts.model)
    body = str(arguments.get("text", "")).encode() if value is None else _json_bytes(value)
    return _turn(case, value or {}, Request(arguments["method"], arguments["path"], headers, body), target)


def _with_ids(request: Mapping[str, Any], ids: Mapping[str, str]) -> Any:
    """A recorded request that names the answers of now where it named those of then."""
    text = json.dumps(request)
    for then, now in ids.items():
        text = text.replace(then, now)
    return json.loads(text)


def _recordings_for(case: Case, recordings: Sequence[Recording]) -> list[Recording | None]:
    if case.is_http:
        return [None]
    if not case.is_recorded:
        return []
    mine = [recording for recording in recordings if recording.sdk == case.dialect.sdk]
    return [recording for recording in mine if case.made_by(recording.language)]


def _sent_again(case: Case, request: Mapping[str, Any], recording: Recording, target: Target, api_key: str) -> Turn:
    path, mark, query = request["path"].partition("?")
    endpoint = (case.dialect.endpoint(path) or path) + mark + query
    body = request["body"]
    if endpoint.removeprefix("/models/") in recording.model_ids:
        endpoint = f"/models/{target.facts.model}"
    if isinstance(body, dict) and body.get("model") in recording.model_ids:
        body = body | {"model": target.facts.model}
    headers = {
        name: KEY_HEADERS[name].format(api_key) if name in KEY_HEADERS else value
        for name, value in request["headers"].items()
        if name not in HOP_BY_HOP and (value != SCRUBBED or name in KEY_HEADERS)
    }
    raw = b"" if body is None else _json_bytes(body)
    return _turn(case, body or {}, Request(request["method"], endpoint, headers, raw), target)


def _turn(case: Case, body: Any, request: Request, target: Target) -> Turn:
    asked = body if isinstance(body, dict) else {}
    try:
        response = send(target.base_url, request)
    except NoAnswer as error:
        return Turn(request.target, {}, 0, str(error))
    return turn_from_bytes(case.dialect, request.target, asked, response)


def _order_violations(case: Case, turn: Turn, recorded: Mapping[str, Any]) -> list[str]:
    wanted, actual = recorded["endings"], order_of_endings(case.dialect, turn)
    if turn.status != recorded["status"] or actual == wanted:
        return []
    return [f"the answer ends with {', '.join(actual) or 'nothing'} instead of {', '.join(wanted)}"]


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
