"""`GET /api/models/catalog`: what can be had by name, and what of it this machine can hold."""

from pathlib import Path

from support.contract import check
from support.hosted import AVAILABLE, hosting
from support.scripted_loader import GIB, Script

from obeaver.models.catalog import load_catalog

CATALOG = "/api/models/catalog"


async def test_every_entry_of_the_catalogue_is_told_with_what_a_person_chooses_by(tmp_path: Path) -> None:
    async with hosting(tmp_path, {}) as served:
        told = await served.get(CATALOG)
    check("ModelCatalog", told)
    entries = load_catalog()
    assert [row["name"] for row in told["models"]] == list(entries)
    row, entry = told["models"][0], entries["smollm2-135m"]
    assert (row["name"], row["kind"], row["licence"]) == ("smollm2-135m", "chat", "Apache-2.0")
    assert row["size_mb"] == round(entry.size_bytes / 1024**2, 1)
    assert row["source"] == entry.addresses[0]
    assert row["description"] == entry.description


async def test_what_fits_is_told_by_the_machine_and_by_the_moment(tmp_path: Path) -> None:
    async with hosting(tmp_path, {}) as served:
        served.loader.free_bytes = GIB
        told = await served.get(CATALOG)
    assert told["memory"] == {"free_mb": 1024.0, "total_mb": 4096.0}
    expected = {
        name: (entry.memory_bytes <= 4 * GIB, entry.memory_bytes <= GIB) for name, entry in load_catalog().items()
    }
    assert {row["name"]: (row["fits"], row["fits_now"]) for row in told["models"]} == expected
    assert set(expected.values()) == {(True, True), (True, False), (False, False)}


async def test_what_is_in_the_store_is_installed(tmp_path: Path) -> None:
    async with hosting(tmp_path, {"smollm2-135m": Script()}) as served:
        told = await served.get(CATALOG)
    assert [row["name"] for row in told["models"] if row["installed"]] == ["smollm2-135m"]


async def test_a_model_that_can_be_loaded_is_told_with_the_memory_that_it_takes_beside_what_is_free(
    tmp_path: Path,
) -> None:
    async with hosting(tmp_path, {"one": Script(), "two": Script()}, "two") as served:
        served.loader.free_bytes = -5
        told = await served.get(AVAILABLE)
    check("AvailableModels", told)
    assert told["memory"] == {"free_mb": 0.0, "total_mb": 4096.0}
    one, two = told["models"]
    assert (one["loaded"], two["loaded"]) == (False, True)
    assert one["memory_mb"] == one["context_length"] / 1024
    assert (one["kind"], one["provider"]) == ("chat", one["device"])
