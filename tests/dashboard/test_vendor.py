"""The libraries that the page brings along are what the manifest says, under licences that allow it, and small."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).parent.parent.parent / "static"
VENDOR = STATIC / "vendor"
LIBRARIES: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))["libraries"]

LICENCE_WORDS = {
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "MIT": "Permission is hereby granted, free of charge",
}

COMPRESSED_BUDGET_BYTES = 250_000
"""Of everything that the page may load before it shows mathematics."""


def test_the_folder_holds_the_files_of_the_manifest_and_no_others() -> None:
    listed = {f"{library['name']}/{name}" for library in LIBRARIES for name in library["files"]}
    present = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert present - {"manifest.json"} == listed


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: str(library["name"]))
def test_every_file_is_the_one_that_was_taken(library: dict[str, Any]) -> None:
    folder = VENDOR / library["name"]
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in library["files"]}
    assert hashes == library["files"], "python tools/refresh_vendor.py takes them anew"


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: str(library["name"]))
def test_every_library_has_a_version_and_the_text_of_its_licence(library: dict[str, Any]) -> None:
    assert library["version"].count(".") == 2
    licence = (VENDOR / library["name"] / "LICENSE.txt").read_text(encoding="utf-8")
    assert LICENCE_WORDS[library["licence"]] in licence


def test_no_file_speaks_of_a_source_map_or_of_a_font_that_was_not_taken() -> None:
    for path in VENDOR.rglob("*.js"):
        assert "sourceMappingURL" not in path.read_text(encoding="utf-8"), path
    css = (VENDOR / "katex" / "katex.css").read_text(encoding="utf-8")
    named = {part.split(")")[0] for part in css.split("url(")[1:]}
    assert named == {f"fonts/{path.name}" for path in (VENDOR / "katex" / "fonts").iterdir()}


def test_all_that_the_page_may_load_before_mathematics_is_small_when_compressed() -> None:
    kinds = {".html", ".js", ".css", ".json", ".svg", ".webmanifest"}
    files = [path for path in STATIC.rglob("*") if path.suffix in kinds and VENDOR / "katex" not in path.parents]
    sizes = {path.relative_to(STATIC).as_posix(): len(gzip.compress(path.read_bytes(), 9)) for path in files}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert sum(sizes.values()) < COMPRESSED_BUDGET_BYTES, f"the largest: {largest}"
