"""The same is done in the same way with files, objects in S3, and a kind of location that only this test knows."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from fruits_assets.settings import read_settings
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import list_image_folders
from spark_steps.photos.tombstones import read_tombstones, set_tombstones
from spark_steps.storage import locations, registry
from spark_steps.storage.backend import Backend
from spark_steps.storage.local import LocalFiles
from spark_steps.storage.pyarrow_backend import PyarrowBackend
from spark_steps.storage.s3 import S3Objects
from tests.support.aws.s3_server import S3


class Memory(PyarrowBackend):
    """Locations ``mem://``, in the memory of this process."""

    def __init__(self) -> None:
        self._files = fs._MockFileSystem(datetime.now(UTC).replace(tzinfo=None))
        self._lock = threading.Lock()

    def filesystem(self, location: str) -> tuple[fs.FileSystem, str]:
        return self._files, location.removeprefix("mem://")

    def open_output(self, location: str) -> pa.NativeFile:
        filesystem, path = self.filesystem(location)
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        return filesystem.open_output_stream(path)

    def write_new(self, location: str, data: bytes) -> None:
        with self._lock:
            if self.kind(location) != fs.FileType.NotFound:
                raise FileExistsError(location)
            self.write(location, data)

    def check_exclusive_writes(self, location: str) -> None:
        """There is one process."""


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(registry.BACKENDS, "mem", Memory())
    return "mem://there"


@pytest.fixture(params=["a folder", "S3", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A directory of each kind, in which there is nothing."""
    if request.param == "a folder":
        return str(tmp_path / "a b é")
    if request.param == "S3":
        return f"{request.getfixturevalue('s3').bucket}/a b é"
    return str(request.getfixturevalue("memory"))


def names(directory: str) -> list[str]:
    return sorted(info.base_name for info in locations.list_files(directory, recursive=True))


def test_each_kind_has_all_operations(s3: S3) -> None:
    backends: list[Backend] = [LocalFiles(), S3Objects(), Memory()]
    operations = {name for name in vars(Backend) if not name.startswith("_")}
    assert all(hasattr(backend, name) for backend in backends for name in operations)


def test_what_is_written_is_read_listed_and_deleted(root: str) -> None:
    assert locations.list_files(root) == []
    assert locations.file_type(root) == fs.FileType.NotFound
    locations.write_bytes(f"{root}/one.txt", b"before")
    locations.write_bytes(f"{root}/one.txt", b"12345")
    locations.write_json(f"{root}/below/two.json", {"é": 1})
    assert locations.read_bytes(f"{root}/one.txt") == b"12345"
    assert locations.read_bytes(f"{root}/one.txt", 3) == b"123"
    assert locations.read_json(f"{root}/below/two.json") == {"é": 1}
    assert locations.file_type(f"{root}/one.txt") == fs.FileType.File
    assert locations.file_type(f"{root}/below") == fs.FileType.Directory
    assert [(info.base_name, info.size) for info in locations.list_files(root)] == [("one.txt", 5)]
    assert locations.list_directories(root) == ["below"]
    assert names(root) == ["one.txt", "two.json"]
    assert sorted(info.base_name for info in locations.list_own_files(root)) == ["one.txt", "two.json"]
    locations.delete_files(root, ["one.txt", "never there.txt"])
    assert names(root) == ["two.json"]
    locations.delete_directory(root)
    locations.delete_directory(root)
    assert names(root) == []


def test_what_is_not_there_is_told_apart_from_what_cannot_be_read(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        locations.read_bytes(f"{root}/gone")
    with pytest.raises(FileNotFoundError):
        locations.list_files(f"{root}/gone", must_exist=True)
    assert locations.modified(f"{root}/gone") is None
    assert locations.sha256_of(f"{root}/gone") is None
    assert locations.count_versions(f"{root}/gone") == 0
    locations.delete_for_good(f"{root}/gone")


def test_a_file_is_written_where_there_is_none_and_by_one_alone(root: str) -> None:
    locations.write_new(f"{root}/lock", b"the first")
    with pytest.raises(FileExistsError):
        locations.write_new(f"{root}/lock", b"the second")
    assert locations.read_bytes(f"{root}/lock") == b"the first"
    assert names(root) == ["lock"]


def test_a_directory_for_a_table_is_left_as_empty_as_it_was(root: str) -> None:
    locations.check_exclusive_writes(root)
    locations.create_table_directory(root)
    assert names(root) == []


def test_a_stream_is_written_to_a_directory_that_was_not_there(root: str) -> None:
    with locations.open_output(f"{root}/x/y/z") as stream:
        stream.write(b"some")
        stream.write(b" more")
    assert locations.read_bytes(f"{root}/x/y/z") == b"some more"
    changed = locations.modified(f"{root}/x/y/z")
    assert changed is not None
    assert abs(changed.astimezone(UTC) - datetime.now(UTC)) < timedelta(days=1)


def test_a_file_goes_for_good_if_its_bytes_say_so(root: str) -> None:
    sha256 = hashlib.sha256(b"photo").hexdigest()
    for name in ("goes", "stays", "goes too"):
        locations.write_bytes(f"{root}/{name}", b"photo")
    assert locations.sha256_of(f"{root}/goes") == sha256
    locations.delete_if(f"{root}/goes", lambda found: found == sha256)
    locations.delete_if(f"{root}/stays", lambda found: found != sha256)
    locations.delete_files_for_good(root, ["goes too", "never there"])
    assert names(root) == ["stays"]
    assert locations.count_versions(f"{root}/stays") == 1
    assert locations.count_versions(f"{root}/stays", only_former=True) == 0
    assert locations.delete_former_versions(root) == 0
    assert names(root) == ["stays"]


def test_the_files_after_another_are_tagged_and_a_tag_changes_with_the_content(root: str) -> None:
    for name in ("01.json", "02.json", "03.json"):
        locations.write_bytes(f"{root}/log/{name}", b"x")
    before = locations.tags_after(root, "log/01.json")
    assert sorted(before) == ["02.json", "03.json"]
    locations.write_bytes(f"{root}/log/02.json", b"longer")
    after = locations.tags_after(root, "log/01.json")
    assert (before["02.json"] == after["02.json"], before["03.json"] == after["03.json"]) == (False, True)


def test_photos_of_a_further_kind_are_found_fetched_and_refused_without_a_change_of_the_steps(memory: str) -> None:
    for name in ("Apple/1.jpg", "Apple/2.jpg", "Pear/green/3.jpg"):
        locations.write_bytes(f"{memory}/{name}", name.encode())
    assert list_image_folders(memory).photos == {"Apple": 2, "Pear/green": 1}
    assert list(fetch([(f"{memory}/Apple/1.jpg", 11)], FetchLimits())) == [b"Apple/1.jpg"]
    set_tombstones(f"{memory}/tombstones", ["0" * 64, "1" * 64])
    assert len(read_tombstones(f"{memory}/tombstones")) == 2
    assert read_settings(images=memory).images == memory


def test_a_kind_that_nobody_has_registered_is_refused() -> None:
    with pytest.raises(CalledWronglyError, match="mem://there is neither a folder nor in S3"):
        read_settings(images="mem://there")
    with pytest.raises(FruitsError, match="mem://there/a is neither a folder nor in S3"):
        locations.read_bytes("mem://there/a")
    with pytest.raises(FruitsError, match="mem://there is neither a folder nor in S3"):
        locations.create_table_directory("mem://there")


def test_a_kind_without_a_write_for_one_of_several_processes_keeps_no_table() -> None:
    class Plain(Memory):
        check_exclusive_writes = PyarrowBackend.check_exclusive_writes

    with pytest.raises(FruitsError, match="No table can be kept at mem://there"):
        Plain().create_table_directory("mem://there")


def test_a_photo_below_a_folder_is_normalised_and_a_key_is_taken_as_it_stands() -> None:
    assert locations.below("/photos", "a/../b.jpg") == "/photos/b.jpg"
    assert locations.below("s3://bucket/photos", "a/../b.jpg") == "s3://bucket/photos/a/../b.jpg"
