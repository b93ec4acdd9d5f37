"""Photos erased: no byte of them is left, nothing else changes, and they do not come back."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fruits_assets.commands.erase import describe
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import read_settings
from spark_steps.erasure.plan import Plan
from spark_steps.photos.tombstones import read_tombstones, tombstone_of
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise, total
from tests.support.erasing import erase_all, receipts, settings_of
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.runs import checks_of
from tests.support.small_store import (
    TIME,
    Photo,
    contents_below,
    files_that_say,
    make_photos,
    rows_of,
    write_photos,
    write_rows,
)


@dataclass(frozen=True)
class Traces:
    """What says of photos that they were there.

    Attributes:
        contents: The photos' bytes by their paths.
        ids: sha256 of each.
        vectors: Their features, and the reduced ones, as they lie in files.
    """

    contents: dict[str, bytes]
    ids: list[str]
    vectors: list[bytes]

    @property
    def names(self) -> list[bytes]:
        return [one.encode() for one in [*self.contents, *self.ids]]

    @property
    def all(self) -> list[bytes]:
        return [*self.names, *self.contents.values(), *self.vectors]


def traces_of(images: Path, store: Store, paths: list[str]) -> Traces:
    contents = {path: (images / path).read_bytes() for path in paths}
    rows = rows_of(store)
    vectors = [
        np.asarray(row[name], np.float32).tobytes()
        for table, name in (("mobilenet_features", "features"), ("reduced_features", "reduced"))
        for row in rows[table].to_pylist()
        if row["path"] in contents and row[name]
    ]
    return Traces(contents, [hashlib.sha256(content).hexdigest() for content in contents.values()], vectors)


def rows_without(rows: pa.Table, paths: list[str]) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["path"], value_set=pc.cast(paths, "string"))))


def check_receipt(store: Store) -> None:
    """Fifty photos with a copy, one of them rejected, and the one model saw a photo."""
    (receipt,) = receipts(store)
    counts = {name: receipt[name] for name in ("photos", "files", "folders", "rows")}
    assert counts == {
        "photos": 50,
        "files": 51,
        "folders": 5,
        "rows": {
            "raw_images": 51,
            "mobilenet_features": 51,
            "reduced_features": 50,
            "photo_splits": 0,
            "photo_audit": 0,
        },
    }
    version = locations.read_json(f"{store.pca_models}/current.json")["version"]
    assert receipt["pca_models_that_saw_a_photo"] == [{"version": version, "certain": True, "current": True}]


def check_refusal(store: Store, before: pa.Table) -> None:
    """The photos that were put back have a row that refuses them; all others have the features of before."""
    features = rows_of(store)["mobilenet_features"]
    refused = [row for row in features.to_pylist() if row["error"]]
    assert [row["path"] for row in refused] == [f"Apple Red/back {number}.jpg" for number in range(3)]
    assert {(row["error"].split(":")[0], row["image_id"], row["features"] is None) for row in refused} == {
        ("erased", None, True)
    }
    kept = before.filter(pc.is_in(before["path"], value_set=features["path"].combine_chunks()))
    assert features.filter(pc.is_null(features["error"])).equals(kept)


def test_fifty_photos_of_five_folders_leave_no_trace_and_do_not_come_back(
    tmp_path: Path, network_file: Path, home: dg.DagsterInstance
) -> None:
    images = tmp_path / "images"
    write_sample(images, photos_per_folder=12)
    # One that no network has seen, and whose path Dagster's records have; one in two places.
    (images / "Plum" / "000.jpg").write_bytes(b"not a photo, and still somebody's")
    shutil.copyfile(images / "Lemon" / "000.jpg", images / "Lemon" / "again.jpg")
    settings = read_settings(images=str(images), store=str(tmp_path / "store"), weights=str(network_file), cores="2")
    store = Store(settings.store)
    run_pipeline(settings, home, say=lambda _: None)
    before = rows_of(store)
    folders = ["Banana", "Lemon", "Orange", "Plum", "Watermelon"]
    paths = [f"{folder}/{number:03}.jpg" for folder in folders for number in range(10)]
    gone = [*paths, "Lemon/again.jpg"]
    traces = traces_of(images, store, gone)
    where = (images, store.root, tmp_path / "home")
    assert len(files_that_say(contents_below(*where), traces.all)) > 50
    assert any("home" in name for name in files_that_say(contents_below(tmp_path / "home"), traces.all))

    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*(str(images / path) for path in paths[:25]), *traces.ids[25:50]]))
    (plan,), _ = erase_all(str(images), store, home, listed=str(listed))
    assert (len(plan.image_ids), len(plan.files), len(plan.folders)) == (50, 51, 5)
    assert files_that_say(contents_below(*where), traces.all) == {}
    for name, rows in rows_of(store).items():
        assert rows.equals(rows_without(before[name], gone))
        if before[name].num_rows:
            assert rows.num_rows == before[name].num_rows - (50 if name == "reduced_features" else 51)
    check_receipt(store)

    # The next run, with three of them put back: two under other names, one as another folder's.
    for number, path in enumerate([*paths[:2], paths[40]]):
        (images / "Apple Red" / f"back {number}.jpg").write_bytes(traces.contents[path])
    run_pipeline(settings.model_copy(update={"weights": None}), home, say=lambda _: None)
    check_refusal(store, before["mobilenet_features"])
    assert files_that_say(contents_below(store.root, tmp_path / "home"), [*traces.names, *traces.vectors]) == {}
    failed = {name for name, (passed, _) in checks_of(home).items() if not passed}
    assert failed == {"almost_every_photo_is_usable"}
    # It keeps its row: a third run finds nothing to do.
    files = store.mobilenet_features.files()
    run_pipeline(settings.model_copy(update={"weights": None}), home, say=lambda _: None)
    assert store.mobilenet_features.files() == files


def test_a_photo_named_by_its_path_goes_with_all_copies_of_its_bytes(
    images: str, store: Store, instance: dg.DagsterInstance
) -> None:
    photos = make_photos(images, ["Fig", "Plum"], 2)
    photos.append(Photo(images, "Plum", "copy.jpg", photos[0].content))
    write_photos(photos)
    write_rows(store, photos, audited=True)
    (plan,), _ = erase_all(images, store, instance, paths=[photos[0].location])
    assert plan.files == sorted([photos[0].location, photos[-1].location])
    assert not Path(photos[-1].location).exists()
    assert [row["path"] for row in rows_of(store)["raw_images"].to_pylist()] == [one.path for one in photos[1:4]]


def test_a_photo_that_another_has_replaced_loses_its_rows_and_the_other_stays(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    Path(some[0].location).write_bytes(b"another photo")
    (plan,), _ = erase_all(images, store, instance, image_ids=[some[0].image_id])
    assert (plan.files, plan.replaced) == ([], [some[0].location])
    assert f"{some[0].location} holds another photo now, which stays" in describe(plan)
    assert Path(some[0].location).read_bytes() == b"another photo"
    assert [table.num_rows for table in rows_of(store).values()] == [5] * 5


def test_a_photo_put_in_the_place_while_somebody_is_asked_stays(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    def agreed(plan: Plan) -> bool:
        assert plan.files == [some[0].location]
        Path(some[0].location).write_bytes(b"another photo")
        return True

    erase(settings_of(images, store), instance, ErasureRequest(paths=[some[0].location]), agreed, lambda _: None)
    assert Path(some[0].location).read_bytes() == b"another photo"
    assert [table.num_rows for table in rows_of(store).values()] == [5] * 5


def test_a_file_without_rows_and_rows_without_a_file_can_be_erased(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    new = Photo(images, "Fig", "new.jpg", b"never run")
    write_photos([new])
    Path(some[0].location).unlink()
    erase_all(images, store, instance, paths=[new.location, some[0].location])
    assert not Path(new.location).exists()
    assert read_tombstones(store.tombstones) == {tombstone_of(one.image_id) for one in (new, some[0])}
    assert [table.num_rows for table in rows_of(store).values()] == [5] * 5


def test_a_folder_whose_last_photo_goes_is_no_folder_of_the_tables_any_more(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    erase_all(images, store, instance, paths=[one.location for one in some[:3]])
    assert [table.folders() for table in store.tables.values()] == [["Red Fruit/Açaí"]] * 5


def test_photos_can_go_by_their_age(images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance) -> None:
    for photo in some:
        os.utime(photo.location, (TIME.timestamp(),) * 2)
    (plan,), _ = erase_all(images, store, instance, older_than=9_999_999_999)
    assert plan.is_empty
    days = (datetime.now(UTC) - TIME).days
    (plan,), _ = erase_all(images, store, instance, older_than=max(1, days - 1))
    assert len(plan.files) == 6
    assert contents_below(images) == {}


def test_the_totals_in_the_footers_are_those_of_the_rows_that_stay(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    from spark_steps.tables.footers import files_by_folder, table_totals

    erase_all(images, store, instance, paths=[some[0].location])
    table = store.mobilenet_features
    totals = table_totals(table, files_by_folder(table))["Fig"]
    kept = some[1:3]
    assert (totals.rows, totals.vectors, totals.length) == (2, 2, sum(len(photo.content) for photo in kept))
    assert totals.sum == pytest.approx(np.sum([photo.numbers for photo in kept], axis=0))


def test_erasing_again_changes_nothing_and_says_so(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    erase_all(images, store, instance, paths=[some[0].location])
    before = contents_below(store.root, images)
    (plan,), _ = erase_all(images, store, instance, paths=[some[0].location], image_ids=[some[0].image_id])
    assert plan.is_empty
    assert f"Nothing is there under {some[0].location}" in describe(plan)
    assert "1 of the image ids were erased before" in describe(plan)
    assert contents_below(store.root, images) == before


def test_a_receipt_names_no_photo(images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance) -> None:
    erase_all(images, store, instance, image_ids=[some[0].image_id])
    kept = contents_below(store.erasures)
    # A tombstone, the receipt, and the lock.
    assert len(kept) == 3
    said = b"".join(kept.values()).decode() + " ".join(kept)
    assert not [
        word for word in (some[0].path, some[0].image_id, "Fig", "jpg", images) if word in said.replace(store.root, "")
    ]


def test_summaries_of_a_store_follow_an_erasure(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    assert total(summarise(store.mobilenet_features)).rows == 6
    erase_all(images, store, instance, paths=[some[0].location])
    assert total(summarise(store.mobilenet_features)).rows == 5


def test_the_photos_of_the_command_are_real_ones_too(tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "a.png")
    assert locations.sha256_of(str(photo)) == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert locations.sha256_of(str(tmp_path / "none.png")) is None
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OSError, match=r"pipe\.png is no regular file"):
        locations.sha256_of(str(tmp_path / "pipe.png"))
