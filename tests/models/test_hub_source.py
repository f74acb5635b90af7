"""A model of the hub, over real HTTP: what it offers, and what a fetch does when the hub fails."""

import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import COMMIT, Fault, HubServer, Repo, git_sha1
from support.notes import Notes
from support.package_index import gguf_bytes
from support.patience import AT_ONCE

from obeaver.errors import CommandError, FetchError, ModelError
from obeaver.models.progress import SilentProgress
from obeaver.models.sources.address import HubAddress
from obeaver.models.sources.hub import HubSource
from obeaver.models.sources.patience import Patience
from obeaver.models.sources.source import Offer

GGUF = gguf_bytes(200_000)
SHA256 = hashlib.sha256(GGUF).hexdigest()
CDN = f"/cdn/{SHA256}"


@pytest.fixture
def repo(hub: HubServer) -> Repo:
    repo = Repo({"README.md": b"# Tiny", "tiny-Q8_0.gguf": GGUF, "tiny-Q4_0.gguf": gguf_bytes(100_000)})
    hub.repos["Org/Tiny-GGUF"] = repo
    return repo


def source(path: str | None = None, revision: str | None = None, **options: Any) -> HubSource:
    return HubSource(HubAddress("Org/Tiny-GGUF", revision, path), patience=AT_ONCE, **options)


def offer(**options: Any) -> Offer:
    return source(**options).offer(SilentProgress())


def test_an_offer_says_exactly_what_would_be_fetched(repo: Repo) -> None:
    notes = Notes()
    found = source().offer(notes)
    assert (found.form, found.name, found.sha256, found.key) == ("gguf", "tiny-q8_0", SHA256, SHA256)
    assert found.size_bytes == found.space_bytes == len(GGUF)
    assert found.origin is not None
    assert (found.origin.asked, found.origin.licence) == ("hf:Org/Tiny-GGUF", "apache-2.0")
    assert (found.origin.address, found.origin.revision) == (f"hf:Org/Tiny-GGUF@{COMMIT}:tiny-Q8_0.gguf", COMMIT)
    assert notes.texts == [
        "tiny-Q8_0.gguf of Org/Tiny-GGUF, 200.0 kB, licence: apache-2.0 (of 2 GGUF files Q8_0 suits an import best)"
    ]


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({}, "not stated"),
        ({"license": ["mit"]}, "mit"),
        ({"license": "other", "license_name": "beaver", "license_link": "https://example.org/l"}, "beaver (https://"),
        ({"license": "other", "license_link": "LICENSE"}, "other"),
    ],
)
def test_the_licence_is_shown_as_the_card_says_it(repo: Repo, card: dict[str, Any], licence: str) -> None:
    repo.card, notes = card, Notes()
    source("Q8_0").offer(notes)
    assert f"licence: {licence}" in notes.texts[0]


def test_the_file_is_fetched_and_checked(repo: Repo, tmp_path: Path) -> None:
    fetched = offer().fetch(tmp_path, SilentProgress())
    assert fetched.name == "tiny-Q8_0.gguf"
    assert fetched.read_bytes() == GGUF


def test_a_folder_is_fetched_with_all_that_belongs_to_it(hub: HubServer, tmp_path: Path) -> None:
    files = {f"cpu/int4/{name}": name.encode() * 1000 for name in ("genai_config.json", "model.onnx", "sub/more.json")}
    hub.repos["Org/Tiny-GGUF"] = Repo({**files, "cuda/genai_config.json": b"{}", "cpu/int4/README.md": b""})
    found = offer()
    assert (found.form, found.name, found.sha256) == ("folder", "tiny-gguf-int4", None)
    fetched = found.fetch(tmp_path, SilentProgress())
    assert {
        f"cpu/int4/{path.relative_to(fetched).as_posix()}": path.read_bytes() for path in files_in(fetched)
    } == files


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@dataclass
class Case:
    what: str
    faults: list[Fault]
    num_gets: int
    """Times that the large file was asked for."""


RECOVERED = [
    Case("the connection is cut once", [Fault(CDN, cut_after=50_000, times=1)], 2),
    Case("the connection is cut again and again", [Fault(CDN, cut_after=30_000, times=6)], 7),
    Case("the server fails", [Fault(CDN, status=500, times=1), Fault(CDN, status=503, times=1)], 3),
    Case("too many requests", [Fault(CDN, status=429, headers={"Retry-After": "0"}, times=2)], 3),
    Case(
        "too many requests in the hub's words",
        [Fault(CDN, status=429, headers={"RateLimit": '"x";r=0;t=0'}, times=1)],
        2,
    ),
    Case(
        "the rest cannot be had alone",
        [Fault(CDN, cut_after=50_000, times=1), Fault(CDN, ignores_range=True, times=1)],
        2,
    ),
    Case(
        "another part comes than was asked for",
        [Fault(CDN, cut_after=50_000, times=1), Fault(CDN, headers={"Content-Range": "bytes 7-9/200000"}, times=1)],
        3,
    ),
    Case(
        "the first half was wrong",
        [Fault(CDN, body=bytes(200_000), cut_after=50_000, times=1)],
        3,
    ),
]


@pytest.mark.parametrize("case", RECOVERED, ids=lambda case: case.what)
def test_a_fetch_goes_on_after(case: Case, hub: HubServer, repo: Repo, tmp_path: Path) -> None:
    found = offer()
    hub.faults += case.faults
    if case.what == "the first half was wrong":  # and another process fetched it
        with pytest.raises(FetchError):
            impatient().fetch(tmp_path, SilentProgress())
        hub.faults.clear()
    assert found.fetch(tmp_path, SilentProgress()).read_bytes() == GGUF
    assert len(hub.gets("/cdn/")) == case.num_gets
    assert [path.name for path in files_in(tmp_path)] == ["tiny-Q8_0.gguf"]


def impatient() -> Offer:
    return HubSource(HubAddress("Org/Tiny-GGUF"), patience=Patience(tries=1)).offer(SilentProgress())


def test_what_another_process_fetched_is_not_fetched_again(hub: HubServer, repo: Repo, tmp_path: Path) -> None:
    hub.faults.append(Fault(CDN, cut_after=150_000))
    with pytest.raises(FetchError, match=r"\Atiny-Q8_0\.gguf could not be fetched: "):
        impatient().fetch(tmp_path, SilentProgress())
    hub.faults.clear()
    steps = Notes()
    assert offer().fetch(tmp_path, steps).read_bytes() == GGUF
    assert hub.gets("/cdn/")[-1].headers["range"] == "bytes=150000-"
    assert steps.stages == [("download Org/Tiny-GGUF", 200_000, 150_000, 50_000)]


def test_a_complete_file_is_checked_and_not_fetched_again(hub: HubServer, repo: Repo, tmp_path: Path) -> None:
    fetched = offer().fetch(tmp_path, SilentProgress())
    assert offer().fetch(tmp_path, SilentProgress()) == fetched
    assert len(hub.gets("/cdn/")) == 1
    fetched.write_bytes(bytes(200_000))
    notes = Notes()
    assert offer().fetch(tmp_path, notes).read_bytes() == GGUF
    assert notes.texts[-1] == "tiny-Q8_0.gguf: what was there does not fit, starting again"


def test_many_files_come_at_once(hub: HubServer, tmp_path: Path) -> None:
    files = {"genai_config.json": b"{}", **{f"part{n}.onnx": gguf_bytes(40_000 + n) for n in range(6)}}
    hub.repos["Org/Tiny-GGUF"] = Repo(files)
    hub.gate.clear()
    opener = Opener(hub, num_open=4)
    opener.start()
    fetched = offer().fetch(tmp_path, SilentProgress())
    opener.join()
    assert {path.name: path.read_bytes() for path in files_in(fetched)} == files


class Opener(threading.Thread):
    """Lets files go on once so many of them have begun: with fewer at once, nothing would ever end."""

    def __init__(self, hub: HubServer, num_open: int) -> None:
        super().__init__(daemon=True)
        self._hub, self._num_open = hub, num_open

    def run(self) -> None:
        while len(self._hub.gets("/cdn/")) < self._num_open and not self._hub.closing.wait(0.01):
            pass
        self._hub.gate.set()


REFUSED = [
    ("gone from the storage", Fault(CDN, status=404), FetchError, "there is no model Org/Tiny-GGUF on http://127"),
    (
        "other content",
        Fault(CDN, body=bytes(200_000)),
        FetchError,
        r"is not the file it should be: its hash is .*, expect",
    ),
    (
        "larger than it should be",
        Fault(CDN, body=bytes(200_001)),
        FetchError,
        "has 200001 bytes on the server instead of",
    ),
    (
        "smaller than it should be",
        Fault(CDN, body=bytes(100)),
        FetchError,
        "has 100 bytes on the server instead of 200000",
    ),
    (
        "nothing but failures",
        Fault(CDN, status=502),
        FetchError,
        r"could not be fetched: the server failed \(status 502\)",
    ),
    ("cut before the first byte", Fault(CDN, cut_after=0), FetchError, "could not be fetched: the connection failed"),
    ("compressed", Fault(CDN, headers={"Content-Encoding": "gzip"}), FetchError, "compressed, which was not asked for"),
    (
        "asked to wait for an hour",
        Fault(CDN, status=429, headers={"Retry-After": "3600"}),
        FetchError,
        r"had too many requests and asks to wait 3600 s",
    ),
]


@pytest.mark.parametrize(("what", "fault", "error", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_fetch_fails_in_one_line_where_the_file_is(
    what: str, fault: Fault, error: type[CommandError], says: str, hub: HubServer, repo: Repo, tmp_path: Path
) -> None:
    hub.faults.append(fault)
    with pytest.raises(error, match=says) as raised:
        offer().fetch(tmp_path, SilentProgress())
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_token_goes_to_the_hub_and_never_to_another_host(
    hub: HubServer, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.tokens["hf_me"] = {"Org/Tiny-GGUF"}
    repo.gated = repo.private = True
    monkeypatch.setenv("HF_TOKEN", "hf_me")
    assert offer().fetch(tmp_path, SilentProgress()).read_bytes() == GGUF
    assert {seen.headers["authorization"] for seen in hub.gets("Org/Tiny-GGUF")} == {"Bearer hf_me"}
    assert ["authorization" in seen.headers for seen in hub.gets("/cdn/")] == [False]


def test_no_telemetry_is_sent(hub: HubServer, repo: Repo, tmp_path: Path) -> None:
    offer().fetch(tmp_path, SilentProgress())
    agents = {seen.headers["user-agent"].split(";")[0] for seen in hub.seen}
    assert all(agent.startswith("obeaver/") for agent in agents)
    assert not any("agent/" in seen.headers["user-agent"].partition(";")[2] for seen in hub.seen)
    assert {seen.path.split("/")[1] for seen in hub.seen} <= {"api", "Org", "cdn"}


CLOSED = [
    ("unknown", {}, None, "there is no model Org/Nothing on .*, or it is private: check the name; .*hf auth login"),
    ("unknown", {}, "hf_me", "there is no model Org/Nothing on .* with a token that may read it"),
    ("private", {"private": True}, None, "there is no model Org/Tiny-GGUF on .*, or it is private"),
    ("gated", {"gated": True}, None, "is gated: accept its terms on .*/Org/Tiny-GGUF, make a token .*HF_TOKEN"),
    ("gated", {"gated": True}, "hf_me", "is gated and your account was not let in: accept its terms on"),
    ("open", {}, "hf_old", "does not accept your token"),
]


@pytest.mark.parametrize(("what", "state", "token", "says"), CLOSED, ids=[f"{row[0]} {row[2]}" for row in CLOSED])
def test_a_repository_that_is_closed_says_what_to_do(
    what: str,
    state: dict[str, bool],
    token: str | None,
    says: str,
    hub: HubServer,
    repo: Repo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.tokens["hf_me"] = set()
    repo.gated, repo.private = state.get("gated", False), state.get("private", False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    address = HubAddress("Org/Nothing" if what == "unknown" else "Org/Tiny-GGUF")
    with pytest.raises(FetchError, match=says) as raised:
        HubSource(address, patience=AT_ONCE).offer(SilentProgress()).fetch(tmp_path, SilentProgress())
    assert "\n" not in str(raised.value)


API_FAULTS = [
    (
        Fault("/api/", status=403, headers={"X-Error-Message": "needs read"}),
        r"your token may not read .* \(needs read\)",
    ),
    (Fault("/api/", status=418), "refuses Org/Tiny-GGUF with status 418"),
    (Fault("/api/", status=400), "refuses Org/Tiny-GGUF with status 400"),
    (Fault("/api/", status=200, body=b"<html>"), "does not answer as a Hugging Face hub does: check HF_ENDPOINT"),
    (Fault("/api/", status=200, body=b'{"id": "x"}'), "does not answer as a Hugging Face hub does"),
    (Fault("/api/", status=503), r"could not be fetched: the server failed \(status 503\)"),
    (
        Fault("/api/", status=403, headers={"X-Error-Message": "Access to this resource is disabled."}),
        "was disabled by",
    ),
]


@pytest.mark.parametrize(("fault", "says"), API_FAULTS, ids=[row[1] for row in API_FAULTS])
def test_a_hub_that_does_not_answer_is_one_line(fault: Fault, says: str, hub: HubServer, repo: Repo) -> None:
    hub.faults.append(fault)
    with pytest.raises(FetchError, match=says) as raised:
        offer()
    assert "\n" not in str(raised.value)


def test_a_hub_that_fails_for_a_moment_is_asked_again(hub: HubServer, repo: Repo) -> None:
    hub.faults += [
        Fault("/api/", status=502, times=1),
        Fault("/api/", status=429, headers={"Retry-After": "0"}, times=1),
    ]
    assert offer().name == "tiny-q8_0"
    assert len(hub.gets("/api/")) == 3


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        FetchError, match=r"Org/Tiny-GGUF on http://127\.0\.0\.1:9 could not be fetched: the connection"
    ):
        offer()


def test_a_revision_that_is_not_there_is_named(repo: Repo) -> None:
    with pytest.raises(FetchError, match="Org/Tiny-GGUF has no revision v9"):
        offer(revision="v9")


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", COMMIT])
def test_a_revision_is_a_branch_a_reference_or_a_commit(repo: Repo, revision: str, tmp_path: Path) -> None:
    repo.revisions = ("main", "refs/pr/1")
    assert offer(revision=revision).fetch(tmp_path, SilentProgress()).read_bytes() == GGUF


def test_a_hash_that_was_said_before_is_held_to(repo: Repo) -> None:
    assert offer(sha256=SHA256).sha256 == SHA256
    with pytest.raises(FetchError, match=f"is not the file it should be: its SHA-256 is {SHA256}, expected 0"):
        offer(sha256="0" * 64)


def test_what_could_not_be_imported_is_not_fetched(repo: Repo) -> None:
    repo.gguf = {"architecture": "mamba", "context_length": 1}
    with pytest.raises(
        ModelError, match=r"tiny-Q8_0\.gguf of Org/Tiny-GGUF has the architecture 'mamba', .* llama, .*qwen2"
    ):
        offer()
    for architecture in ("llama", "qwen3", "clip"):
        repo.gguf = {"architecture": architecture}
        assert offer().name == "tiny-q8_0"


def test_names_that_lead_out_of_the_folder_are_passed_over(repo: Repo, hub: HubServer) -> None:
    repo.files |= {"../evil-Q8_0.gguf": GGUF, "/etc/evil-Q8_0.gguf": GGUF, "c:\\evil-Q8_0.gguf": GGUF}
    assert offer().origin.address.endswith(":tiny-Q8_0.gguf")  # type: ignore[union-attr]


def test_a_small_file_is_held_to_its_name_in_git(hub: HubServer, tmp_path: Path) -> None:
    config = json.dumps({"model": {}}).encode()
    hub.repos["Org/Tiny-GGUF"] = Repo({"genai_config.json": config})
    found = offer()
    hub.faults.append(Fault("/resolve/", body=bytes(len(config))))
    with pytest.raises(FetchError, match=f"is not the file it should be: .* expected {git_sha1(config)}"):
        found.fetch(tmp_path, SilentProgress())


def test_a_configuration_is_read_to_tell_an_encoder(hub: HubServer) -> None:
    config = json.dumps({"model_type": "bert"}).encode()
    hub.repos["Org/Tiny-GGUF"] = Repo({"config.json": config, "model.safetensors": GGUF, "tokenizer.json": b"{}"})
    assert (offer().form, offer().name) == ("encoder", "tiny-gguf")
    hub.repos["Org/Tiny-GGUF"].files["config.json"] = b"{"
    with pytest.raises(FetchError, match=r"config\.json of Org/Tiny-GGUF is not JSON"):
        offer()


def test_a_repository_without_a_model_is_a_models_error(hub: HubServer) -> None:
    hub.repos["Org/Tiny-GGUF"] = Repo({"README.md": b""})
    with pytest.raises(ModelError, match="has nothing that can be served"):
        offer()
