"""What changed when in a store, and the store as it was: fruits history, and --as-of."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_steps.pca.model_store import save
from spark_steps.photos.listing import plan_raw_images
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import compact, vacuum
from spark_steps.tables.open_tables import LOG
from spark_steps.tables.row_removal import RowPredicate, remove_rows
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA, with_folder
from tests.support.small_store import MODEL, TIME, Photo, make_photos, rows_of, write_rows
from tests.support.stores.models import model_by_hand
from tests.support.versions import figures, fruits, history


def save_model(store: Store, version: str, components: int = 4) -> None:
    """A PCA model that has reduced the photos of a store made by hand."""
    save(model_by_hand(version, MODEL, 2, [], components), store.pca_models)


def set_time(table: FolderTable, version: int, at: datetime) -> None:
    """Gives a version of a table another time."""
    place = f"{table.root}/{LOG}/{version:020}.json"
    first, *others = locations.read_bytes(place).decode().splitlines()
    commit = json.loads(first)
    commit["commitInfo"]["timestamp"] = int(at.timestamp() * 1000)
    locations.write_bytes(place, "\n".join([json.dumps(commit), *others]).encode())


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    return make_photos(str(tmp_path / "photos"), ("Fig", "Pêche/=new"), 3)


@pytest.fixture
def store(photos: list[Photo], tmp_path: Path) -> Store:
    """A store written an hour apart: raw_images at noon, then mobilenet_features, then reduced_features."""
    made = Store(str(tmp_path / "a store"))
    write_rows(made, photos, model=False)
    save_model(made, "v")
    for hour, table in enumerate(made.tables.values()):
        for commit in table.log.history():
            set_time(table, commit.version, NOON + timedelta(hours=hour, milliseconds=700))
    return made


def test_all_tables_are_listed_in_the_order_of_time_the_newest_first(store: Store) -> None:
    listed = [(one["time"], one["table"], one["version"], one["what"]) for one in history(store)]
    images = f"images root set to {Path(store.root).parent}/photos"
    assert listed == [
        ("2026-03-01T14:00:00Z", "reduced_features", 1, "written"),
        ("2026-03-01T14:00:00Z", "reduced_features", 0, "created"),
        ("2026-03-01T13:00:00Z", "mobilenet_features", 1, "written"),
        ("2026-03-01T13:00:00Z", "mobilenet_features", 0, "created"),
        ("2026-03-01T12:00:00Z", "raw_images", 2, "written"),
        ("2026-03-01T12:00:00Z", "raw_images", 1, images),
        ("2026-03-01T12:00:00Z", "raw_images", 0, "created"),
    ]
    assert history(store, "--limit", "2") == history(store)[:2]
    heading, *lines = fruits("history", store).stdout.splitlines()
    assert heading.split()[:3] == ["time", "(UTC)", "table"]
    assert lines[0].split() == ["2026-03-01", "14:00:00", "reduced_features", "1", "6", "0", "4", "0", "written"]
    assert len(lines) == 7


def test_a_row_that_stays_is_neither_added_nor_removed_where_its_file_is_written_anew(store: Store) -> None:
    def listed(*photos: tuple[str, int]) -> pa.Table:
        rows = [
            {"path": f"Fig/{name}", "label": "Fig", "length": length, "modification_time": TIME}
            for name, length in photos
        ]
        return pa.Table.from_pylist(rows, RAW_IMAGES_SCHEMA)

    table = store.raw_images
    table.write(plan_raw_images(table, {"Fig": listed(("a", 1), ("b", 1), ("c", 1), ("d", 1))}))
    about = {"run_id": "0123456789abcdef", "step": "raw_images"}
    table.write(plan_raw_images(table, {"Fig": listed(("a", 1), ("b", 2), ("c", 1), ("e", 1), ("f", 1))}), about)
    newest, before, *_ = history(store)
    assert figures(before) == (4, 3, 1, 2)
    assert figures(newest) == (3, 2, 1, 1)
    assert (newest["run_id"], newest["step"]) == ("0123456789abcdef", "raw_images")
    assert fruits("history", store).stdout.splitlines()[1].split()[-2:] == ["01234567", "written"]


def test_a_compaction_adds_and_removes_no_row_and_an_erasure_only_those_that_are_erased(
    store: Store, photos: list[Photo]
) -> None:
    table = store.reduced_features
    assert compact(table, [file for file in table.files() if file.folder == "Fig"], {"run_id": "r"})
    remove_rows(table, RowPredicate(frozenset(), frozenset([photos[0].path])))
    erased, refused, compacted, *_ = history(store)
    assert (refused["what"], figures(refused)) == ("unfinished writes refused", (0, 0, 0, 0))
    assert (compacted["what"], figures(compacted)) == ("compacted", (0, 0, 1, 2))
    assert (erased["what"], figures(erased)) == ("erased", (0, 1, 1, 1))


def test_what_another_program_has_written_is_listed_without_numbers_of_rows(store: Store) -> None:
    table = store.raw_images
    write_deltalake(table.root, table.arrow(with_folder(table.schema).names), mode="append")
    (newest, *_) = history(store)
    assert (newest["what"], newest["run_id"]) == ("written", None)
    assert list(figures(newest)) == [None, None, 2, 0]
    assert fruits("history", store).stdout.splitlines()[1].split()[4:] == ["-", "-", "2", "0", "written"]


def test_what_the_log_says_is_shown_and_not_obeyed_by_a_terminal(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.use_images(f"{tmp_path}/a\x1b[2Jb")
    table = store.raw_images
    write_rows(store, make_photos(f"{tmp_path}/a\x1b[2Jb", ["Fig"], 1), model=False)
    table.drop(["Fig"], {"run_id": "\x1b[31m"})
    text = fruits("history", store).stdout
    assert "\x1b" not in text
    assert "a\\x1b[2Jb" in text


def test_a_store_that_is_missing_is_told_in_a_sentence(tmp_path: Path) -> None:
    for arguments in (["history"], ["report", "--as-of", "2026-01-01"], ["export", "--csv", "-", "--as-of", "3"]):
        done = fruits(arguments[0], Store(str(tmp_path / "none")), *arguments[1:])
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(
            f"Error: There is no store at {tmp_path}/none, or no table in it. Make one: fruits"
        )


def test_a_store_in_s3_is_listed_and_read_as_it_was(store: Store, s3: Any) -> None:
    s3.put_folder(Path(store.root), "results")
    there = Store(f"{s3.bucket}/results")
    assert history(there) == history(store)
    arguments = ("--csv", "-", "--as-of", "reduced_features@1")
    assert fruits("export", there, *arguments).stdout == fruits("export", store, *arguments).stdout != ""


def versions(store: Store, as_of: str) -> dict[str, int]:
    done = fruits("report", store, "--json", "--as-of", as_of)
    assert done.exit_code == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)["as_of"]["versions"]
    return found


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        ("raw_images@2", (2, -1, -1)),
        ("mobilenet_features@1", (2, 1, -1)),
        ("reduced_features@1", (2, 1, 1)),
        ("1", (2, 1, 1)),
        ("0", (2, 1, 0)),
        ("2026-03-02", (2, 1, 1)),
        ("2026-03-01T13:00", (2, 1, -1)),
        # A time of the list, to the second, counts what was committed in that second.
        ("2026-03-01 13:00:00", (2, 1, -1)),
        ("2026-03-01T13:00:00Z", (2, 1, -1)),
        ("2026-03-01T13:00:00.5", (2, -1, -1)),
        ("2026-03-01T14:00:00+01:00", (2, 1, -1)),
        ("2026-03-01T12:59:59", (2, -1, -1)),
    ],
)
def test_a_moment_is_a_version_or_a_time_in_utc_unless_an_offset_is_given(
    store: Store, as_of: str, expected: tuple[int, int, int]
) -> None:
    # The store was never audited.
    assert tuple(versions(store, as_of).values()) == (*expected, -1, -1)


def test_a_version_is_read_exactly_where_the_next_one_has_the_same_time_or_an_earlier_one(store: Store) -> None:
    table = store.reduced_features
    table.drop(["Fig"])
    for at in (NOON + timedelta(hours=2, milliseconds=700), NOON + timedelta(hours=1.5)):
        set_time(table, 2, at)
        assert versions(store, "1")["reduced_features"] == 1
        assert versions(store, "2")["reduced_features"] == 2


@pytest.mark.parametrize(
    ("as_of", "code", "said"),
    [
        ("yesterday", 2, "'yesterday' is no moment. Give a time, such as 2026-07-30,"),
        ("0001-01-01T00:00:00+14:00", 2, "is no moment. Give a time"),
        (
            "raw@3",
            2,
            "There is no table 'raw'. Name one of raw_images, mobilenet_features, reduced_features, "
            "photo_splits, photo_audit.",
        ),
        ("2999-01-01", 2, "2999-01-01 lies in the future. Without a moment the store is read as it is now."),
        ("raw_images@3", 1, "There is no version 3 of raw_images in "),
        ("20260301", 1, "There is no version 20260301 of reduced_features in "),
        (
            "2026-03-01T11:59:59",
            1,
            "is younger than that: its first table was created at 2026-03-01 12:00:00 UTC. Give a later moment.",
        ),
        ("raw_images@0", 1, "At 2026-03-01 12:00:00 UTC the store "),
    ],
)
def test_a_moment_that_cannot_be_read_is_told_in_a_sentence(store: Store, as_of: str, code: int, said: str) -> None:
    done = fruits("report", store, "--as-of", as_of)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize("arguments", [("export", "--csv", "-"), ("identify", "photo.jpg")])
def test_a_moment_without_reduced_features_is_told_in_a_sentence(store: Store, arguments: tuple[str, ...]) -> None:
    done = fruits(arguments[0], store, *arguments[1:], "--as-of", "mobilenet_features@1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert (
        f"At 2026-03-01 13:00:00 UTC no photo of {store.root} had reduced features. Give another moment" in done.stderr
    )


def test_a_pca_model_that_is_gone_is_told_in_a_sentence(store: Store) -> None:
    shutil.rmtree(f"{store.pca_models}/v")
    done = fruits("export", store, "--csv", "-", "--as-of", "1")
    assert done.exit_code == 1
    assert "PCA model v, by which the photos of" in done.stderr
    assert "were reduced at 2026-03-01 14:00:00 UTC, is no longer there. Give another moment" in done.stderr


def test_former_rows_are_read_until_their_files_are_deleted(store: Store) -> None:
    then = rows_of(store)["reduced_features"].to_pylist()
    csv = fruits("export", store, "--csv", "-").stdout
    table = store.reduced_features
    table.drop(["Fig"])
    assert fruits("export", store, "--csv", "-", "--as-of", "1").stdout == csv
    former = FolderTable(table.root, table.schema, version=1)
    assert former.arrow(with_folder(table.schema).names).sort_by("path").to_pylist() == then
    for file in former.files():
        Path(table.root, file.path).unlink()
    for command in (("export", "--csv", "-"), ("report",)):
        done = fruits(command[0], store, *command[1:], "--as-of", "1")
        assert (done.exit_code, done.stdout) == (1, "")
        assert f"Version 1 of {table.root} can no longer be read: files of it were deleted" in done.stderr
        assert "FRUITS_KEEP_DAYS" in done.stderr


def test_a_version_that_held_erased_photos_can_no_longer_be_read(store: Store, photos: list[Photo]) -> None:
    for table in store.tables.values():
        remove_rows(table, RowPredicate(frozenset(), frozenset([photos[0].path])))
    done = fruits("export", store, "--csv", "-", "--as-of", "1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "or held photos that have been erased. Give a later version" in done.stderr
    newest = versions_of(store, "reduced_features", 0)[0]["version"]
    assert len(fruits("export", store, "--csv", "-", "--as-of", str(newest)).stdout.splitlines()) == len(photos)


def test_versions_whose_log_was_cleaned_up_are_told_in_a_sentence(store: Store) -> None:
    table = store.raw_images
    for number in range(10):
        assert table.log.set_property("fruits.images", f"/{number}", store.images)
    assert table.log.set_property("delta.logRetentionDuration", "interval 0 days", None)
    delta = DeltaTable(table.root)
    delta.create_checkpoint()
    delta.cleanup_metadata()
    oldest, newest = (versions[0]["version"] for versions in (versions_of(store, "raw_images", n) for n in (-1, 0)))
    assert 2 < oldest <= newest
    for as_of in ("raw_images@2", "2026-03-01T12:30"):
        done = fruits("report", store, "--as-of", as_of)
        assert (done.exit_code, done.stdout) == (1, "")
        assert f"The log of raw_images in {store.root} no longer reaches back to that" in done.stderr
        assert f"begins with version {oldest}, of " in done.stderr
    assert versions(store, f"raw_images@{newest}")["raw_images"] == newest


def versions_of(store: Store, table: str, number: int) -> list[dict[str, Any]]:
    return [[one for one in history(store) if one["table"] == table][number]]


@pytest.mark.parametrize(("days", "kept"), [(7, None), (30, "interval 31 days"), (400, "interval 401 days")])
def test_the_log_reaches_back_for_longer_than_replaced_files_are_kept(
    store: Store, days: int, kept: str | None
) -> None:
    store.raw_images.log.remember_removed(timedelta(days=days))
    assert dict(store.raw_images.snapshot().properties).get("delta.logRetentionDuration") == kept
    assert vacuum(store.raw_images, timedelta(days=days)) == []
