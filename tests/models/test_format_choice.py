"""int8 or int4 where nobody chose: by the memory that the machine has, said in one line, and the same the next time."""

from pathlib import Path

import pytest
from reference.tiny_gguf import TinyGguf
from support.hub_server import HubServer, Repo
from support.notes import Notes

from obeaver.models.catalog import load_catalog
from obeaver.models.format_choice import is_short, memory_bytes, num_weights_of
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store, StoredModel

LITTLE = 1_000_000
GB = 1_000_000_000


def get(asked: str | Path, store: Store, notes: Notes, memory: int, weights: str | None = None) -> StoredModel:
    return ensure_model(str(asked), store, progress=notes, weights=weights, catalog={}, memory=memory)


@pytest.mark.parametrize("place", ["file", "hub"])
def test_short_memory_makes_it_int4_and_says_why_once(tmp_path: Path, store: Store, hub: HubServer, place: str) -> None:
    file = TinyGguf(type="Q8_0").write(tmp_path / "m-Q8_0.gguf")
    hub.repos["Org/Tiny"] = Repo({"m-Q8_0.gguf": file.read_bytes()})
    asked, notes = file if place == "file" else "hf:Org/Tiny", Notes()
    stored = get(asked, store, notes, LITTLE)
    assert stored.recipe is not None
    assert (stored.recipe.weights, stored.name.endswith("-int4")) == ("int4", True)
    said = [text for text in notes.texts if "imported in int4, since int8 would take about" in text]
    assert len(said) == 1
    assert "--weights int8 has it nonetheless" in said[0]
    again = Notes()
    assert get(asked, store, again, LITTLE) == stored
    assert again.texts == []


def test_what_is_asked_for_is_made_whatever_the_memory(tmp_path: Path, store: Store) -> None:
    file, notes = TinyGguf(type="Q8_0").write(tmp_path / "m.gguf"), Notes()
    stored = get(file, store, notes, LITTLE, "int8")
    assert stored.recipe is not None
    assert stored.recipe.weights == "int8"
    assert not any("int4" in text for text in notes.texts)


def test_enough_memory_makes_it_int8(tmp_path: Path, store: Store) -> None:
    file, notes = TinyGguf(type="Q8_0").write(tmp_path / "m.gguf"), Notes()
    stored = get(file, store, notes, 16_000_000_000)
    assert stored.recipe is not None
    assert stored.recipe.weights == "int8"
    assert not any("int4" in text for text in notes.texts)


@pytest.mark.parametrize(
    ("weights", "gigabytes", "short"),
    [(1.7e9, 4, False), (4e9, 8, False), (8e9, 8, True), (8e9, 16, False), (14e9, 16, True), (14e9, 32, False)],
)
def test_real_sizes(weights: float, gigabytes: int, short: bool) -> None:
    assert is_short(int(weights), gigabytes * 1_000_000_000) == short


@pytest.mark.parametrize(
    ("size", "kind", "weights"),
    [(1_820_000_000, "Q8_0", 1.71e9), (1_060_000_000, "Q4_K_M", 1.76e9), (3_420_000_000, "F16", 1.71e9), (1, None, 1)],
)
def test_a_files_size_and_name_tell_its_weights(size: int, kind: str | None, weights: float) -> None:
    assert num_weights_of(size, kind) == pytest.approx(weights, rel=0.05, abs=1)


def test_this_machine_has_memory() -> None:
    assert memory_bytes() > 1 << 28


def test_the_catalogue_says_int8_wherever_a_machines_memory_allows_it() -> None:
    roomy, laptop, small = load_catalog(memory=64 * GB), load_catalog(memory=16 * GB), load_catalog(memory=8 * GB)
    assert {entry.weights for entry in roomy.values() if entry.kind == "chat"} == {"int8", None}
    in_int4 = {name for name, entry in laptop.items() if entry.weights == "int4"}
    assert in_int4 == {"gemma-3-12b", "mistral-small-3.2", "qwen3-30b-a3b", "gpt-oss-20b"}
    assert {small[name].weights for name in ("llama-3.1-8b", "qwen3-8b")} == {"int4"}
    assert (roomy["qwen3-8b"].memory_bytes, small["qwen3-8b"].memory_bytes) == (11_100_000_000, 6_800_000_000)
    assert {entry.weights for entry in small.values() if entry.kind != "chat"} == {"fp32", None}


def test_a_catalogue_name_is_imported_by_the_memory_and_then_stays_as_it_is(
    tmp_path: Path, store: Store, hub: HubServer
) -> None:
    hub.repos["Qwen/Qwen3-4B-GGUF"] = Repo(
        {"Qwen3-4B-Q4_K_M.gguf": TinyGguf("qwen3", type="Q8_0").write(tmp_path / "m.gguf").read_bytes()}
    )

    def get_qwen(memory: int, weights: str | None = None) -> tuple[str, str, list[str]]:
        notes = Notes()
        stored = ensure_model("Qwen3-4B", store, progress=notes, weights=weights, memory=memory)
        assert stored.recipe is not None
        return stored.name, stored.recipe.weights, [text for text in notes.texts if "imported in int4" in text]

    [said] = (small := get_qwen(4 * GB))[2]
    assert small[:2] == ("qwen3-4b", "int4")
    assert said.startswith("imported in int4, since int8 would take about 5.2 GB of this machine's 4.0 GB")
    assert get_qwen(64 * GB) == ("qwen3-4b", "int4", [])
    assert get_qwen(64 * GB, "int8") == ("qwen3-4b-int8", "int8", [])
