"""Fetches the libraries of the dashboard's page anew: `python tools/refresh_vendor.py`, with npm in reach.

Each library's release is fetched by npm at the version that stands here, its scripts are minified to ES modules, and
what the page needs of it is written to `static/vendor/NAME/` together with its licence. `static/vendor/manifest.json`
names every file with its hash; `tests/dashboard/test_vendor.py` holds the folder to it. To take a newer release, change
its version here and run this again.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "static" / "vendor"

MINIFIER = "esbuild@0.28.2"


@dataclass(frozen=True)
class Library:
    """One library: where it comes from, and which of its files the page needs.

    Attributes:
        name: Its folder in `static/vendor/`.
        package: Its name in npm's index.
        licence: The licence's SPDX identifier; of several, the one under which it is used here.
        scripts: File of the release to name in the folder, for ES modules that are minified.
        files: The same for files that are taken as they are; a release's file may be a pattern, the name then a folder.
    """

    name: str
    package: str
    version: str
    licence: str
    scripts: dict[str, str]
    files: dict[str, str]


LIBRARIES = (
    Library("marked", "marked", "18.2.1", "MIT", {"lib/marked.esm.js": "marked.js"}, {}),
    Library("dompurify", "dompurify", "3.5.0", "Apache-2.0", {"dist/purify.es.mjs": "purify.js"}, {}),
    Library(
        "highlight", "@highlightjs/cdn-assets", "11.12.0", "BSD-3-Clause", {"es/highlight.min.js": "highlight.js"}, {}
    ),
    Library(
        "katex",
        "katex",
        "0.19.1",
        "MIT",
        {"dist/katex.mjs": "katex.js"},
        {"dist/katex.min.css": "katex.css", "dist/fonts/*.woff2": "fonts"},
    ),
    Library("uplot", "uplot", "1.6.32", "MIT", {"dist/uPlot.esm.js": "uplot.js"}, {"dist/uPlot.min.css": "uplot.css"}),
)


def main() -> None:
    """Write `static/vendor/` anew."""
    with tempfile.TemporaryDirectory() as scratch:
        entries = [_refresh(library, Path(scratch)) for library in LIBRARIES]
    _remove_others({library.name for library in LIBRARIES})
    manifest = json.dumps({"libraries": entries}, indent=1)
    (VENDOR / "manifest.json").write_text(manifest + "\n", encoding="utf-8")


def _refresh(library: Library, scratch: Path) -> dict[str, object]:
    release = _fetch(library, scratch / library.name)
    folder = VENDOR / library.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source, name in library.scripts.items():
        _minify(release / source, folder / name)
    for source, name in library.files.items():
        _copy(release, source, folder / name)
    shutil.copyfile(release / "LICENSE", folder / "LICENSE.txt")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "name": library.name,
        "package": library.package,
        "version": library.version,
        "licence": library.licence,
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in files},
    }


def _fetch(library: Library, folder: Path) -> Path:
    """The folder of a release's files."""
    folder.mkdir()
    _run("npm", "pack", "--silent", "--pack-destination", str(folder), f"{library.package}@{library.version}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "package"


def _minify(source: Path, target: Path) -> None:
    _run("npx", "--yes", MINIFIER, str(source), "--minify", "--format=esm", f"--outfile={target}", "--log-level=error")


def _copy(release: Path, source: str, target: Path) -> None:
    if "*" in source:
        target.mkdir()
        for path in release.glob(source):
            shutil.copyfile(path, target / path.name)
    elif source.endswith(".css"):
        target.write_text(_only_woff2((release / source).read_text(encoding="utf-8")), encoding="utf-8")
    else:
        shutil.copyfile(release / source, target)


def _only_woff2(css: str) -> str:
    """Without the font files for old browsers, which are not taken."""
    return re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)', "", css)


def _remove_others(names: set[str]) -> None:
    for path in VENDOR.iterdir():
        if path.is_dir() and path.name not in names:
            shutil.rmtree(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
