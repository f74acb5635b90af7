"""Models from addresses into the store: real HTTP, a stand-in importer where content does not matter."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.decoder_embedder import write_gguf
from support.hub_server import COMMIT, Fault, HubServer, Repo
from support.notes import Notes
from support.package_index import gguf_bytes
from support.pull_process import PausingImporter
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from obeaver.errors import CommandError, FetchError, ModelError, StoreError
from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.encoder.layout import read_encoder_facts
from obeaver.models.importers import EXACT, import_source, maker
from obeaver.models.origin import Origin
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model, import_file
from obeaver.models.record import Recipe
from obeaver.models.store import Store, StoredModel

Q8, Q4 = gguf_bytes(200_000), gguf_bytes(100_000)
SHA256 = hashlib.sha256(Q8).hexdigest()
DATA = Path(__file__).parent.parent / "data" / "builder_exports"
Get = Callable[..., StoredModel]


@pytest.fixture
def get(store: Store) -> Get:
    def ensure(asked: str, **options: Any) -> StoredModel:
        options = {"progress": SilentProgress(), "importer": PausingImporter(), "catalog": {}, **options}
        return ensure_model(asked, store, **options)

    return ensure


@pytest.fixture
def repo(hub: HubServer) -> Repo:
    hub.repos["Org/Tiny-GGUF"] = Repo({"tiny-Q8_0.gguf": Q8, "tiny-Q4_0.gguf": Q4}, revisions=("main", "v1"))
    return hub.repos["Org/Tiny-GGUF"]


def fail(*_: object, **__: object) -> None:
    raise ModelError("this must not be imported")


def test_a_gguf_file_of_the_hub_is_imported_and_its_record_says_all(get: Get, store: Store, repo: Repo) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    assert stored == store.find("tiny-q8_0")
    assert (stored.folder / "model.onnx").read_bytes() == Q8
    assert stored.recipe == Recipe(SHA256, "int8", "int8")
    assert stored.made_by == maker("gguf")
    assert stored.origin == Origin(
        "hub", "hf:Org/Tiny-GGUF", f"hf:Org/Tiny-GGUF@{COMMIT}:tiny-Q8_0.gguf", COMMIT, "apache-2.0"
    )
    assert list((store.home / "downloads").iterdir()) == []


@pytest.mark.parametrize(
    "again",
    [
        "hf:Org/Tiny-GGUF",
        "hf:org/tiny-gguf",
        "https://huggingface.co/Org/Tiny-GGUF",
        f"hf:Org/Tiny-GGUF@{COMMIT[:7]}",
        f"hf:Org/Tiny-GGUF@{COMMIT}:tiny-Q8_0.gguf",
        "hf:Org/Tiny-GGUF:tiny-Q8_0.gguf",
        "tiny-q8_0",
    ],
)
def test_what_is_in_the_store_never_asks_the_hub(get: Get, repo: Repo, hub: HubServer, again: str) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    num_requests = len(hub.seen)
    assert get(again, importer=fail) == stored
    assert get(again, importer=fail, offline=True) == stored
    assert len(hub.seen) == num_requests


@pytest.mark.parametrize("other", ["hf:Org/Tiny-GGUF@v1", "hf:Org/Tiny-GGUF:Q8_0"])
def test_other_words_for_the_same_file_ask_the_hub_and_fetch_nothing(
    get: Get, repo: Repo, hub: HubServer, other: str
) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    assert get(other, importer=fail) == stored
    assert len(hub.gets("/cdn/")) == 1


def test_another_file_of_the_repository_is_another_model(get: Get, store: Store, repo: Repo) -> None:
    get("hf:Org/Tiny-GGUF")
    get("hf:Org/Tiny-GGUF:Q4_0")
    assert [model.name for model in store.list()] == ["tiny-q4_0", "tiny-q8_0"]


def test_another_format_is_made_from_the_kept_source_without_the_hub(
    get: Get, store: Store, repo: Repo, hub: HubServer
) -> None:
    get("hf:Org/Tiny-GGUF")
    num_requests = len(hub.seen)
    assert get("hf:Org/Tiny-GGUF", weights="int4", offline=True).name == "tiny-q8_0-int4"
    assert len(hub.seen) == num_requests


def test_a_name_can_be_chosen(get: Get, store: Store, repo: Repo) -> None:
    assert get("hf:Org/Tiny-GGUF", name="Mine").name == "mine"
    assert get("mine", importer=fail).name == "mine"
    assert get("hf:Org/Tiny-GGUF:Q4_0", name="mine").recipe == Recipe(hashlib.sha256(Q4).hexdigest(), "int8", "int8")
    assert [model.name for model in store.list()] == ["mine"]


def test_a_name_of_the_catalogue_is_not_given_away(get: Get, repo: Repo, tiny_catalog: dict[str, CatalogEntry]) -> None:
    with pytest.raises(ModelError, match="tiny is a model of the catalogue: choose another name"):
        get("hf:Org/Tiny-GGUF", name="tiny", catalog=tiny_catalog)
    repo.files = {"tiny.gguf": Q8}
    assert get("hf:Org/Tiny-GGUF", catalog=tiny_catalog).name == f"tiny-{SHA256[:8]}"


def test_a_model_with_a_name_keeps_it(get: Get, repo: Repo) -> None:
    get("hf:Org/Tiny-GGUF")
    with pytest.raises(ModelError, match="tiny-q8_0 has a name already"):
        get("tiny-q8_0", name="mine")
    with pytest.raises(StoreError, match="cannot be a model's name"):
        get("hf:Org/Tiny-GGUF", name="../mine")


def test_two_files_of_one_name_do_not_take_each_others_place(get: Get, repo: Repo, hub: HubServer) -> None:
    hub.repos["Other/Tiny"] = Repo({"tiny-Q8_0.gguf": Q4})
    first, second = get("hf:Org/Tiny-GGUF"), get("hf:Other/Tiny")
    assert second.name == f"tiny-q8_0-{hashlib.sha256(Q4).hexdigest()[:8]}"
    assert get("hf:Org/Tiny-GGUF") == first
    assert get("hf:Other/Tiny") == second
    hub.repos["Third/Tiny"] = Repo({"tiny-Q8_0.gguf": Q4[:-1]})
    assert get("hf:Third/Tiny").name not in (first.name, second.name)


def test_the_same_file_from_elsewhere_is_the_same_model(get: Get, repo: Repo, hub: HubServer) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    hub.repos["Copy/Tiny"] = Repo({"tiny-Q8_0.gguf": Q8})
    assert get("hf:Copy/Tiny", importer=fail) == stored
    assert len(hub.gets("/cdn/")) == 1


def test_a_branch_that_moved_is_asked_for_by_its_commit(get: Get, repo: Repo) -> None:
    old = get("hf:Org/Tiny-GGUF")
    repo.commit, repo.files = "f" * 40, {"tiny-Q8_0.gguf": Q4}
    assert get("hf:Org/Tiny-GGUF") == old, "nothing is fetched that is there"
    new = get(f"hf:Org/Tiny-GGUF@{'f' * 40}")
    assert new.name != old.name
    assert new.recipe == Recipe(hashlib.sha256(Q4).hexdigest(), "int8", "int8")


@pytest.fixture
def exports(hub: HubServer) -> Repo:
    """Real folders of onnxruntime-genai's own builder, one for each device."""
    files = {
        f"{place}/{path.name}": path.read_bytes()
        for place, folder in (("cpu/int4", "llama_int4"), ("cuda/int4", "llama_int8"))
        for path in (DATA / folder).iterdir()
    }
    hub.repos["Org/Tiny-ONNX"] = Repo({**files, "README.md": b"# Tiny"})
    return hub.repos["Org/Tiny-ONNX"]


def test_a_folder_for_onnxruntime_genai_is_stored_as_it_is(
    get: Get, store: Store, exports: Repo, hub: HubServer
) -> None:
    stored = get("hf:Org/Tiny-ONNX", importer=fail)
    assert (stored.name, stored.recipe, stored.made_by) == ("tiny-onnx-int4", None, None)
    assert contents(stored.folder) == contents(DATA / "llama_int4")
    assert stored.origin is not None
    assert stored.origin.address == f"hf:Org/Tiny-ONNX@{COMMIT}:cpu/int4"
    assert list((store.home / "downloads").iterdir()) == []
    num_requests = len(hub.seen)
    assert get("hf:Org/Tiny-ONNX", offline=True) == get("hf:Org/Tiny-ONNX:cpu/int4", offline=True) == stored
    assert len(hub.seen) == num_requests
    store.remove("tiny-onnx-int4")
    assert store.list() == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "store.json"}


def test_a_folder_for_another_device_can_be_asked_for(get: Get, exports: Repo) -> None:
    stored = get("hf:Org/Tiny-ONNX:cuda/int4")
    assert contents(stored.folder) == contents(DATA / "llama_int8")


def test_formats_of_a_folder_cannot_be_chosen(get: Get, exports: Repo) -> None:
    for _ in range(2):
        with pytest.raises(ModelError, match="hf:Org/Tiny-ONNX is served as it is: its formats cannot be chosen"):
            get("hf:Org/Tiny-ONNX", weights="int8")
        get("hf:Org/Tiny-ONNX")


def test_a_folder_that_lacks_a_file_is_not_stored(get: Get, store: Store, exports: Repo) -> None:
    del exports.files["cpu/int4/model.onnx"]
    with pytest.raises(ModelError, match=r"is no complete model folder: model\.onnx is missing"):
        get("hf:Org/Tiny-ONNX")
    assert store.list() == []


def test_safetensors_of_an_encoder_are_imported(get: Get, store: Store, hub: HubServer, tmp_path: Path) -> None:
    folder = write_sentence_transformer(tmp_path / "st", bert_weights(), bert_config())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.repos["Org/Encoder"] = Repo({**files, "README.md": b""})
    stored = get("hf:Org/Encoder", importer=import_source)
    assert (stored.name, stored.made_by) == ("encoder", "encoder/1")
    assert read_encoder_facts(stored.folder).weights == "fp32"
    num_requests = len(hub.seen)
    small = get("hf:Org/Encoder", importer=import_source, weights="int8", offline=True)
    assert (small.name, read_encoder_facts(small.folder).weights) == ("encoder-int8", "int8")
    assert len(hub.seen) == num_requests
    local = ensure_model(str(folder), store, progress=SilentProgress(), importer=import_source)
    assert local.recipe == stored.recipe, "it is the same source, wherever it comes from"


@pytest.mark.parametrize("place", ["hf:Org/Vectors-GGUF", "URL"])
def test_a_gguf_file_of_an_embedder_is_exact_however_it_is_asked_for(
    get: Get, store: Store, hub: HubServer, tmp_path: Path, place: str
) -> None:
    content = write_gguf(tmp_path / "vectors-Q8_0.gguf").read_bytes()
    hub.repos["Org/Vectors-GGUF"] = Repo({"vectors-Q8_0.gguf": content})
    hub.web["vectors-q8_0.gguf"] = content
    address = f"{hub.url}/web/vectors-q8_0.gguf" if place == "URL" else place
    stored = get(address, importer=import_source)
    assert (stored.name, read_encoder_facts(stored.folder).weights) == ("vectors-q8_0", "fp32")
    assert stored.recipe == Recipe(hashlib.sha256(content).hexdigest(), *EXACT)
    asked = len(hub.seen)
    assert get(address, importer=fail) == stored
    assert get(address, importer=fail, usual=EXACT) == stored
    assert get("vectors-q8_0", importer=fail) == stored
    assert len(hub.seen) == asked
    assert get(f"hf:Org/Vectors-GGUF@{COMMIT}", importer=fail) == stored
    smaller = get(address, importer=import_source, weights="int8")
    assert read_encoder_facts(smaller.folder).weights == "int8"
    assert [model.name for model in store.list()] == ["vectors-q8_0", smaller.name]


def web_file(hub: HubServer, content: bytes = Q8) -> str:
    hub.web["My Model.gguf"] = content
    return f"{hub.url}/web/My%20Model.gguf"


def test_a_url_with_its_hash_is_fetched_checked_and_imported(get: Get, store: Store, hub: HubServer) -> None:
    asked = f"{web_file(hub)}#sha256={SHA256}"
    stored = get(asked)
    assert (stored.name, stored.recipe) == ("my-model", Recipe(SHA256, "int8", "int8"))
    assert stored.origin == Origin("url", asked, web_file(hub))
    num_requests = len(hub.seen)
    assert get(asked, importer=fail, offline=True) == stored
    assert len(hub.seen) == num_requests
    with pytest.raises(FetchError, match=r"My Model\.gguf is not the file it should be: its hash is"):
        get(f"{web_file(hub)}#sha256={'0' * 64}")


def test_a_url_without_a_hash_is_known_by_what_came(get: Get, hub: HubServer) -> None:
    stored = get(web_file(hub))
    assert stored.recipe == Recipe(SHA256, "int8", "int8")
    num_requests = len(hub.seen)
    assert get(web_file(hub), importer=fail, offline=True) == stored
    assert get(web_file(hub), weights="int4", offline=True).name == "my-model-int4"
    assert len(hub.seen) == num_requests


def test_a_url_goes_on_where_it_stopped_while_the_file_is_the_same(get: Get, store: Store, hub: HubServer) -> None:
    hub.faults += [
        Fault("/web/", times=1),
        Fault("/web/", cut_after=50_000, times=1),
        Fault("/web/", status=404, times=1),
    ]
    with pytest.raises(FetchError, match="has no file"):
        get(web_file(hub))
    notes = Notes()
    assert get(web_file(hub), progress=notes).recipe == Recipe(SHA256, "int8", "int8")
    assert hub.gets("/web/")[-1].headers["range"] == "bytes=50000-"
    assert notes.stages[0] == ("download My Model.gguf", 200_000, 50_000, 150_000)


def test_a_url_whose_file_was_changed_is_fetched_anew(get: Get, hub: HubServer) -> None:
    hub.faults += [
        Fault("/web/", times=1),
        Fault("/web/", cut_after=50_000, times=1),
        Fault("/web/", status=404, times=1),
    ]
    with pytest.raises(FetchError, match="has no file"):
        get(web_file(hub))
    other = Q8[:4] + bytes(len(Q8) - 4)
    assert (get(web_file(hub, other)).folder / "model.onnx").read_bytes() == other


def test_a_url_whose_file_changes_under_way_is_not_mixed(get: Get, hub: HubServer) -> None:
    other = Q8[:4] + bytes(len(Q8) - 4)
    url = web_file(hub)
    hub.faults += [
        Fault("/web/", times=1),
        Fault("/web/", cut_after=50_000, times=1),
        # The server has another version now, and says so by sending all of it.
        Fault("/web/", body=other, ignores_range=True, times=1),
    ]
    assert (get(url).folder / "model.onnx").read_bytes() == other


def test_a_url_of_a_version_that_cannot_be_told_begins_anew(get: Get, store: Store, hub: HubServer) -> None:
    hub.web_headers = {"ETag": 'W/"weak"'}
    hub.faults += [
        Fault("/web/", times=1),
        Fault("/web/", cut_after=50_000, times=1),
        Fault("/web/", status=404, times=1),
    ]
    with pytest.raises(FetchError, match="has no file"):
        get(web_file(hub))
    assert list((store.home / "downloads").iterdir()) == []
    assert get(web_file(hub)).recipe == Recipe(SHA256, "int8", "int8")


URL_FAULTS = [
    (Fault("/web/", status=403), FetchError, "refuses .* it may need a login, which a URL cannot give"),
    (Fault("/web/", status=404), FetchError, "has no file http"),
    (Fault("/web/", status=418), FetchError, "with status 418"),
    (Fault("/web/", body=b"<html>please log in</html>"), ModelError, "is not a GGUF file"),
    (
        Fault("/web/", headers={"Content-Length": "many"}),
        FetchError,
        "the (server does not say how large|connection failed)",
    ),
    (Fault("/web/", status=302, headers={"Location": "ftp://x/y.gguf"}), FetchError, "ftp"),
]


@pytest.mark.parametrize(("fault", "error", "says"), URL_FAULTS, ids=[row[2] for row in URL_FAULTS])
def test_a_url_that_gives_no_model_is_one_line(
    get: Get, store: Store, hub: HubServer, fault: Fault, error: type[CommandError], says: str
) -> None:
    hub.faults.append(fault)
    with pytest.raises(error, match=says) as raised:
        get(web_file(hub))
    assert "\n" not in str(raised.value)
    assert store.list() == []


def test_offline_is_said_before_anybody_is_asked(get: Get, repo: Repo, hub: HubServer) -> None:
    for asked in ("hf:Org/Tiny-GGUF", web_file(hub)):
        with pytest.raises(FetchError, match=r"is not in .* and would have to be fetched, but this is offline"):
            get(asked, offline=True)
    assert hub.seen == []


def test_a_disk_without_room_is_told_before_the_fetch(get: Get, hub: HubServer, repo: Repo) -> None:
    hub.faults.append(Fault("/api/", status=200, body=listing_of_a_huge_file(), headers={}))
    with pytest.raises(StoreError, match=r"not enough space in .* for fetching and importing tiny-q8_0-int4: .* MB"):
        get("hf:Org/Tiny-GGUF")
    assert hub.gets("/resolve/") == []


def listing_of_a_huge_file() -> bytes:
    lfs = {"size": 10**18, "sha256": "0" * 64, "pointerSize": 1}
    file = {"rfilename": "tiny-Q8_0.gguf", "size": 10**18, "blobId": "0" * 40, "lfs": lfs}
    return json.dumps({"id": "Org/Tiny-GGUF", "sha": COMMIT, "siblings": [file]}).encode()


def test_an_import_that_fails_does_not_keep_gigabytes(get: Get, store: Store, repo: Repo) -> None:
    with pytest.raises(ModelError, match="must not be imported"):
        get("hf:Org/Tiny-GGUF", importer=fail)
    assert list((store.home / "sources").glob("*.gguf")) == []


def catalog(tmp_path: Path, *sources: dict[str, Any]) -> dict[str, CatalogEntry]:
    entry = {
        "name": "tiny",
        "kind": "chat",
        "description": "a tiny model",
        "architecture": "llama",
        "parameters": 1,
        "context": 1,
        "licence": "MIT",
        "quantisation": "Q8_0",
        "size_bytes": 1,
        "memory_bytes": 1,
        "sources": sources,
        "import": {"weights": "int8", "kv": "float32"},
    }
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"models": [entry]}))
    return dict(load_catalog(path))


def test_a_catalogue_name_can_mean_a_place_on_the_hub(
    get: Get, store: Store, repo: Repo, hub: HubServer, tmp_path: Path
) -> None:
    known = catalog(tmp_path, {"type": "hub", "repo": "Org/Tiny-GGUF", "path": "Q8_0", "revision": "v1"})
    stored = get("tiny", catalog=known)
    assert (stored.name, stored.recipe) == ("tiny", Recipe(SHA256, "int8", "float32"))
    num_requests = len(hub.seen)
    assert get("tiny", catalog=known, importer=fail) == stored
    assert get("tiny", catalog=known, weights="int4").name == "tiny-int4"
    assert len(hub.seen) == num_requests


def test_when_the_hub_fails_the_next_source_of_the_catalogue_is_asked(
    get: Get, repo: Repo, hub: HubServer, tmp_path: Path
) -> None:
    known = catalog(
        tmp_path,
        {"type": "hub", "repo": "Org/Gone"},
        {"type": "url", "url": web_file(hub), "sha256": SHA256, "size_bytes": len(Q8)},
    )
    notes = Notes()
    assert get("tiny", catalog=known, progress=notes).recipe == Recipe(SHA256, "int8", "float32")
    assert "there is no model Org/Gone" in notes.texts[0]
    assert notes.texts[0].endswith("; trying the next source")


def test_a_catalogues_url_with_another_size_is_refused(get: Get, hub: HubServer, tmp_path: Path) -> None:
    known = catalog(tmp_path, {"type": "url", "url": web_file(hub), "sha256": SHA256, "size_bytes": 7})
    with pytest.raises(FetchError, match="has 200000 bytes instead of 7"):
        get("tiny", catalog=known)


def of_an_older_version(store: Store, stored: StoredModel) -> None:
    """The same record, as an importer before today's would have written it."""
    path = stored.folder / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "made_by": "gguf/0"}))


def test_a_model_of_an_older_importer_is_made_anew_from_the_kept_source(
    get: Get, store: Store, repo: Repo, hub: HubServer
) -> None:
    stored, notes = get("hf:Org/Tiny-GGUF"), Notes()
    of_an_older_version(store, stored)
    num_requests = len(hub.seen)
    again = get("tiny-q8_0", progress=notes, offline=True)
    assert dataclasses.replace(again, created=0) == dataclasses.replace(stored, created=0)
    assert notes.texts == ["tiny-q8_0 was imported by an older version and is imported anew"]
    assert len(hub.seen) == num_requests
    assert get("tiny-q8_0", importer=fail) == again


@pytest.mark.parametrize("asked", ["hf:Org/Tiny-GGUF", "tiny-q8_0"])
def test_a_model_of_an_older_importer_whose_source_is_gone_is_fetched_again(
    get: Get, store: Store, repo: Repo, hub: HubServer, asked: str
) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    of_an_older_version(store, stored)
    [source] = (store.home / "sources").glob("*.gguf")
    source.unlink()
    assert get(asked).made_by == maker("gguf")
    assert len(hub.gets("/cdn/")) == 2


def test_a_model_of_an_older_importer_serves_on_where_its_source_cannot_be_had(
    get: Get, store: Store, repo: Repo, hub: HubServer
) -> None:
    stored, notes = get("hf:Org/Tiny-GGUF"), Notes()
    of_an_older_version(store, stored)
    for source in (store.home / "sources").glob("*.gguf"):
        source.unlink()
    again = get("tiny-q8_0", progress=notes, offline=True)
    assert (again.folder, again.made_by) == (stored.folder, "gguf/0")
    assert notes.texts[-1].startswith("tiny-q8_0 stays as it is: tiny-q8_0 is not in ")
    assert get("tiny-q8_0", importer=fail).made_by == "gguf/0", "nor where it cannot be imported any more"


def test_a_url_and_a_file_are_found_again_for_a_new_import(
    get: Get, store: Store, hub: HubServer, tmp_path: Path
) -> None:
    file = tmp_path / "local.gguf"
    file.write_bytes(Q4)
    local = import_file(file, store, name="local", progress=SilentProgress(), importer=PausingImporter())
    web = get(web_file(hub))
    for stored in (local, web):
        of_an_older_version(store, stored)
    for source in (store.home / "sources").glob("*.gguf"):
        source.unlink()
    assert get("local").made_by == get("my-model").made_by == maker("gguf")
    of_an_older_version(store, local)
    file.write_bytes(Q8)
    notes = Notes()
    assert get("local", progress=notes).made_by == "gguf/0"
    assert notes.texts[-1] == "local stays as it is: what local was made from is not there any more"


def test_a_damaged_model_is_made_anew_by_its_name(get: Get, store: Store, repo: Repo, exports: Repo) -> None:
    stored, folder = get("hf:Org/Tiny-GGUF"), get("hf:Org/Tiny-ONNX")
    notes = Notes()
    for model in (stored, folder):
        (model.folder / "genai_config.json").unlink()
    assert (get("tiny-q8_0", progress=notes, offline=True).folder / "genai_config.json").is_file()
    assert contents(get("tiny-onnx-int4").folder) == contents(DATA / "llama_int4")
    assert notes.texts[0] == "tiny-q8_0 is damaged and is made anew"


def test_a_damaged_model_that_cannot_be_made_anew_is_one_line(get: Get, store: Store, exports: Repo) -> None:
    (get("hf:Org/Tiny-ONNX").folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"\Atiny-onnx-int4 is damaged and cannot be made anew: .* this is offline\Z"):
        get("tiny-onnx-int4", offline=True)


def test_a_record_from_before_importers_had_versions_is_that_of_the_first(get: Get, store: Store, repo: Repo) -> None:
    stored = get("hf:Org/Tiny-GGUF")
    path = stored.folder / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "made_by": None}))
    assert get("tiny-q8_0", importer=fail).made_by is None
