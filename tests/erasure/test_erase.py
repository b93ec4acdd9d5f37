"""Photos erased: no byte of them is left, nothing else changes, and they do not come back."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest

from fruits_assets.commands.erase import describe
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.records import ERASED_TEXT, replacement
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import read_settings
from spark_steps.erasure.carry_out import decide, refuse_while_erasing
from spark_steps.erasure.model_photos import Photos, saw
from spark_steps.erasure.plan import Plan, path_below, plan_erasure, read_lines, read_request
from spark_steps.errors import FruitsError
from spark_steps.photos.tombstones import read_tombstones, tombstone_of
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise, total
from tests.support.checks import checks_of
from tests.support.erasing import all_but_the_lock, all_versions, erase_all, receipts, settings_of, versions
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.s3_server import S3
from tests.support.small_store import (
    TIME,
    Photo,
    contents_below,
    files_that_say,
    make_photos,
    rows_of,
    write_model,
    write_photos,
    write_rows,
)

pytest_plugins = ["tests.support.erasing", "tests.support.s3_server"]


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
    contents = {path: (images / path).read_bytes() for path in gone}
    ids = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    vectors = [
        np.asarray(row[name], np.float32).tobytes()
        for table, name in (("mobilenet_features", "features"), ("reduced_features", "reduced"))
        for row in before[table].to_pylist()
        if row["path"] in contents and row[name]
    ]
    needles = [*(one.encode() for one in [*gone, *ids]), *contents.values(), *vectors]
    where = (images, store.root, tmp_path / "home")
    assert len(files_that_say(contents_below(*where), needles)) > 50
    assert any("home" in name for name in files_that_say(contents_below(tmp_path / "home"), needles))

    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*(str(images / path) for path in paths[:25]), *ids[25:50]]))
    (plan,), _ = erase_all(str(images), store, home, listed=str(listed))
    assert (len(plan.image_ids), len(plan.files), len(plan.folders)) == (50, 51, 5)

    assert files_that_say(contents_below(*where), needles) == {}
    for name, rows in rows_of(store).items():
        kept = before[name].filter(pc.invert(pc.is_in(before[name]["path"], value_set=pc.cast(gone, "string"))))
        assert rows.equals(kept)
        assert rows.num_rows == before[name].num_rows - (50 if name == "reduced_features" else 51)
    (receipt,) = receipts(store)
    counts = {name: receipt[name] for name in ("photos", "files", "folders", "rows")}
    assert counts == {
        "photos": 50,
        "files": 51,
        "folders": 5,
        "rows": {"raw_images": 51, "mobilenet_features": 51, "reduced_features": 50},
    }
    version = locations.read_json(f"{store.pca_models}/current.json")["version"]
    assert receipt["pca_models_that_saw_a_photo"] == [{"version": version, "certain": True, "current": True}]

    # The next run, with three of them put back: two under other names, one as another folder's.
    for number, path in enumerate([*paths[:2], paths[40]]):
        (images / "Apple Red" / f"back {number}.jpg").write_bytes(contents[path])
    run_pipeline(settings.model_copy(update={"weights": None}), home, say=lambda _: None)
    after = rows_of(store)
    features = after["mobilenet_features"].to_pylist()
    refused = [row for row in features if row["error"]]
    assert [row["path"] for row in refused] == [f"Apple Red/back {number}.jpg" for number in range(3)]
    assert {(row["error"].split(":")[0], row["image_id"], row["features"] is None) for row in refused} == {
        ("erased", None, True)
    }
    kept = before["mobilenet_features"].filter(
        pc.is_in(before["mobilenet_features"]["path"], value_set=pc.cast([row["path"] for row in features], "string"))
    )
    good = after["mobilenet_features"].filter(pc.is_null(after["mobilenet_features"]["error"]))
    assert good.equals(kept)
    assert (
        files_that_say(contents_below(store.root, tmp_path / "home"), [*needles[: len(gone) + len(ids)], *vectors])
        == {}
    )
    failed = {name for name, (passed, _) in checks_of(home).items() if not passed}
    assert failed == {"almost_every_photo_is_usable"}
    # It keeps its row: a third run finds nothing to do.
    files = store.mobilenet_features.files()
    run_pipeline(settings.model_copy(update={"weights": None}), home, say=lambda _: None)
    assert store.mobilenet_features.files() == files


CHILD = """
import os, signal, sys
from spark_steps.erasure.carry_out import carry_out, decide
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.store.store import Store

images, root, path, steps = sys.argv[1:]
store = Store(root)
erasure = decide(store, plan_erasure(store, read_request([], [path], images), images))
for number, _ in enumerate(carry_out(store, erasure, images, lambda texts: 0)):
    if number == int(steps):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_erasure_that_is_killed_after_any_step_is_finished_by_the_next(
    images: str, tmp_path: Path, home: dg.DagsterInstance
) -> None:
    killed = 0
    for step in range(20):
        store = Store(str(tmp_path / f"store{step}"))
        photos = make_photos(images, ["Fig", "Plum"], 3)
        photos.append(Photo(images, "Plum", "copy.jpg", photos[0].content))
        write_photos(photos)
        write_rows(store, photos)
        before = rows_of(store)
        command = [sys.executable, "-c", CHILD, images, store.root, photos[0].location, str(step)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            break
        killed += 1
        assert done.returncode == -9, done.stderr
        if locations.list_files(f"{store.erasures}/unfinished"):
            with pytest.raises(FruitsError, match=r"under way or was interrupted.*fruits erase"):
                refuse_while_erasing(store)
        _, said = erase_all(images, store, home, paths=[photos[0].location])
        assert said == [] or "was interrupted, and is finished now" in said[0]
        refuse_while_erasing(store)
        assert files_that_say(contents_below(images, store.root, tmp_path / "home"), photos[0].needles()) == {}
        for name, rows in rows_of(store).items():
            assert rows.equals(
                before[name].filter(
                    pc.invert(
                        pc.is_in(before[name]["path"], value_set=pc.cast([photos[0].path, photos[-1].path], "string"))
                    )
                )
            )
        assert [receipt["files"] for receipt in receipts(store)] == [2]
    assert killed == 10


def test_a_photo_named_by_its_path_goes_with_all_copies_of_its_bytes(
    images: str, store: Store, instance: dg.DagsterInstance
) -> None:
    photos = make_photos(images, ["Fig", "Plum"], 2)
    photos.append(Photo(images, "Plum", "copy.jpg", photos[0].content))
    write_photos(photos)
    write_rows(store, photos)
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
    assert [table.num_rows for table in rows_of(store).values()] == [5, 5, 5]


def test_a_photo_put_in_the_place_while_somebody_is_asked_stays(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    def agreed(plan: Plan) -> bool:
        assert plan.files == [some[0].location]
        Path(some[0].location).write_bytes(b"another photo")
        return True

    erase(settings_of(images, store), instance, ErasureRequest(paths=[some[0].location]), agreed, lambda _: None)
    assert Path(some[0].location).read_bytes() == b"another photo"
    assert [table.num_rows for table in rows_of(store).values()] == [5, 5, 5]


def test_a_file_without_rows_and_rows_without_a_file_can_be_erased(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    new = Photo(images, "Fig", "new.jpg", b"never run")
    write_photos([new])
    Path(some[0].location).unlink()
    erase_all(images, store, instance, paths=[new.location, some[0].location])
    assert not Path(new.location).exists()
    assert read_tombstones(store.tombstones) == {tombstone_of(one.image_id) for one in (new, some[0])}
    assert [table.num_rows for table in rows_of(store).values()] == [5, 5, 5]


def test_a_folder_whose_last_photo_goes_is_no_folder_of_the_tables_any_more(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    erase_all(images, store, instance, paths=[one.location for one in some[:3]])
    assert [table.folders() for table in store.tables.values()] == [["Red Fruit/Açaí"]] * 3


def test_photos_can_go_by_their_age(images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance) -> None:
    for photo in some:
        os.utime(photo.location, (TIME.timestamp(),) * 2)
    (plan,), _ = erase_all(images, store, instance, older_than=10_000)
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


def test_a_tombstone_is_not_the_image_id_and_not_its_plain_hash() -> None:
    image_id = hashlib.sha256(b"photo").hexdigest()
    assert tombstone_of(image_id) not in (image_id, hashlib.sha256(bytes.fromhex(image_id)).hexdigest())


def test_in_s3_no_version_of_anything_says_any_more_what_was_erased(s3: S3, instance: dg.DagsterInstance) -> None:
    bucket = s3.bucket.removeprefix("s3://")
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    images, store = f"{s3.bucket}/Test", Store(s3.bucket)
    photos = make_photos(images, ["Fig", "Plum"], 3)
    earlier = Photo(images, "Fig", photos[0].name, b"as it was before it was cropped")
    deleted, replaced = photos[1], photos[3]
    write_photos([earlier, *photos])
    write_rows(store, photos)
    # Written again, as a run with full_refresh does: the former files stay as versions.
    for table in store.tables.values():
        table.drop(["Fig", "Plum"])
    write_rows(store, photos)
    s3.client.delete_object(Bucket=bucket, Key=deleted.location.removeprefix(f"{s3.bucket}/"))
    longer = Photo(images, "Fig", f"{photos[0].name}g", b"x")
    write_photos([Photo(images, "Plum", replaced.name, b"another photo in its place"), longer])
    before = rows_of(store)
    asked = [photos[0], deleted, replaced]
    needles = [needle for photo in asked for needle in photo.needles()] + [earlier.content]
    needles.remove(replaced.path.encode())
    assert len(files_that_say(all_versions(s3), needles)) > 12

    erase_all(images, store, instance, paths=[photos[0].location, deleted.location], image_ids=[replaced.image_id])
    said = {name: content for name, content in all_versions(s3).items() if not name.endswith(longer.name)}
    assert files_that_say(said, needles) == {}
    for name, rows in rows_of(store).items():
        gone = pc.cast([photo.path for photo in asked], "string")
        assert rows.equals(before[name].filter(pc.invert(pc.is_in(before[name]["path"], value_set=gone))))
    # Of the others each has one version, and the longer name was not meant.
    assert locations.read_bytes(longer.location) == b"x"
    assert locations.read_bytes(replaced.location) == b"another photo in its place"
    # That of the lock names nothing.
    assert {one["key"] for one in versions(s3) if one["marker"]} == {"Erasures/unfinished/lock"}
    assert [receipt["files_and_versions"] for receipt in receipts(store)] == [2 + 2 + 1]
    plans, _ = erase_all(images, store, instance, image_ids=[photos[0].image_id])
    assert plans[0].is_empty


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"image_ids": ["abc"]}, "'abc' is no image id. Give the 64 hexadecimal digits"),
        ({"image_ids": ["0" * 64]}, "No photo of the store has the image id 0000.*give the path of its file"),
        ({"paths": ["/etc/passwd"]}, "/etc/passwd does not lie below .*images"),
        ({"paths": ["../../x.jpg"]}, "x.jpg does not lie below .*images"),
        ({"paths": ["Fig"]}, "Fig is a folder. Give its photos, one by one or in a list"),
        ({"paths": ["Fig/link.jpg"]}, "link.jpg is a link to .*elsewhere.jpg"),
        ({"paths": ["Fig/pipe.jpg"]}, r"pipe.jpg is a pipe or a device, and only files are erased\. Delete it"),
        ({"listed": "/nowhere/list.txt"}, "The list /nowhere/list.txt cannot be read"),
    ],
)
def test_what_cannot_be_erased_is_refused_in_a_sentence_and_nothing_changes(
    wanted: dict[str, object], says: str, images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    Path(images, "..", "elsewhere.jpg").write_bytes(b"x")
    Path(images, "Fig", "link.jpg").symlink_to(Path(images, "..", "elsewhere.jpg"))
    os.mkfifo(Path(images, "Fig", "pipe.jpg"))
    before = all_but_the_lock(store, images)
    with pytest.raises(FruitsError, match=says) as refused:
        erase_all(images, store, instance, **wanted)
    assert "\n" not in str(refused.value)
    assert all_but_the_lock(store, images) == before


def test_photos_of_another_images_folder_are_refused(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    with pytest.raises(FruitsError, match=r"holds the photos of .*images, and not those of .*Fig"):
        erase_all(f"{images}/Fig", store, instance, image_ids=[some[0].image_id])


def test_nothing_is_erased_while_a_run_is_under_way(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(settings_of(images, store))
    job = definitions.resolve_job_def("fit_pca")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    before = contents_below(store.root, images)
    with pytest.raises(FruitsError, match=r"Run \w+ of fit_pca is under way.*erase again when it has ended"):
        erase_all(images, store, instance, paths=[some[0].location])
    assert contents_below(store.root, images) == before


def test_nothing_is_erased_while_another_machine_writes(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    table = store.mobilenet_features
    being_written = Path(table.root, "part-of-another-machine.parquet")
    shutil.copyfile(f"{table.root}/{table.files()[0].path}", being_written)
    with pytest.raises(FruitsError, match=r"Something writes to .*mobilenet_features, last at"):
        erase_all(images, store, instance, paths=[some[0].location])
    # An hour later it is what a killed process has left, and goes with the rows that it holds.
    an_hour_ago = being_written.stat().st_mtime - 3600
    os.utime(being_written, (an_hour_ago, an_hour_ago))
    erase_all(images, store, instance, paths=[some[0].location])
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}


def test_no_run_begins_while_an_erasure_is_unfinished(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance
) -> None:
    locations.write_json(f"{store.erasures}/unfinished/20260101T000000Z-0.json", {})
    settings = settings_of(images, store)
    with pytest.raises(FruitsError, match="under way or was interrupted"):
        run_pipeline(settings, home, say=lambda _: None)
    done = build_definitions(settings).resolve_job_def("reduce_folders")
    with home:
        home.add_dynamic_partitions("image_folders", ["Fig"])
        result = done.execute_in_process(instance=home, partition_key="Fig", raise_on_error=False)
    assert not result.success


def test_the_job_erases_and_dagsters_records_of_it_name_no_photo(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance, tmp_path: Path
) -> None:
    job = build_definitions(settings_of(images, store)).resolve_job_def("erase_photos")
    asked = {"paths": [some[0].location], "image_ids": [some[4].image_id]}
    result = job.execute_in_process({"ops": {"erase_what_is_named": {"config": asked}}}, instance=home)
    assert result.success
    assert [table.num_rows for table in rows_of(store).values()] == [4, 4, 4]
    needles = [needle for photo in (some[0], some[4]) for needle in photo.needles()]
    assert files_that_say(contents_below(images, store.root, tmp_path / "home"), needles) == {}
    assert home.get_run_by_id(result.run_id) is not None


def test_dagster_forgets_a_photo_however_a_run_has_named_it(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance, tmp_path: Path
) -> None:
    job = build_definitions(settings_of(images, store)).resolve_job_def("erase_photos")
    relative = some[0].path
    asked = {"paths": [relative, Path(some[1].location).as_uri()], "image_ids": [some[4].image_id.upper()]}
    # The second time there is nothing to erase, and still something to forget.
    for _ in range(2):
        assert job.execute_in_process({"ops": {"erase_what_is_named": {"config": asked}}}, instance=home).success
    needles = [relative, json.dumps(relative)[1:-1], "1%20%C3%A9.jpg", some[4].image_id.upper()]
    assert files_that_say(contents_below(store.root, tmp_path / "home"), [one.encode() for one in needles]) == {}


def test_whoever_finishes_an_erasure_has_dagster_forget_how_it_was_asked_for(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance, tmp_path: Path
) -> None:
    job = build_definitions(settings_of(images, store)).resolve_job_def("erase_photos")
    given = [Path(some[0].location).as_uri()]
    home.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.FAILURE,
        run_config={"ops": {"erase_what_is_named": {"config": {"paths": given}}}},
    )
    assert files_that_say(contents_below(tmp_path / "home"), [given[0].encode()])
    decide(store, plan_erasure(store, read_request([], given, images), images), given)
    erase_all(images, store, home)
    assert files_that_say(contents_below(store.root, tmp_path / "home"), [given[0].encode()]) == {}


def test_a_short_path_is_forgotten_where_it_stands_alone() -> None:
    replace = replacement(["/photos/Fig/1.jpg"], ["Fig/1.jpg", "1.jpg"])
    for text in ("1.jpg", "Fig/1.jpg", '{"paths": ["Fig/1.jpg"]}', json.dumps(json.dumps(["1.jpg"])), "['1.jpg']"):
        assert replace(text) == text.replace("Fig/1.jpg", "1.jpg").replace("1.jpg", ERASED_TEXT)
    for text in ("11.jpg", "/other/Fig/1.jpg", '["Red Fig/1.jpg"]', '"1.jpg.png"'):
        assert replace(text) == text


def test_relative_paths_are_those_of_the_current_directory_or_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = str(tmp_path / "photos")
    assert path_below("photos/Fig/1.jpg", images) == path_below("Fig/1.jpg", images) == f"{images}/Fig/1.jpg"
    assert path_below("Fig/1.jpg", "s3://bucket/Test") == "s3://bucket/Test/Fig/1.jpg"
    for elsewhere in ("s3://bucket/Tests/1.jpg", "s3://bucket/Test/../1.jpg", "../1.jpg"):
        with pytest.raises(FruitsError, match="does not lie below"):
            path_below(elsewhere, "s3://bucket/Test")


def test_a_list_has_image_ids_and_paths_in_any_order() -> None:
    request = read_lines(f"/photos/a b.jpg\r\n\n{'A' * 64}\nFig/2.jpg\n", "/photos")
    assert request == read_request(["a" * 64], ["/photos/a b.jpg", "/photos/Fig/2.jpg"], "/photos")


def test_which_models_saw_a_photo_is_told_from_their_versions(images: str, store: Store) -> None:
    photos = make_photos(images, ["Fig", "Plum", "Lime"], 2)
    write_photos(photos)
    write_rows(store, photos)
    versions = {
        "without the first": write_model(store, photos[1:]),
        "without another": write_model(store, photos[:3]),
        "of another folder": write_model(store, photos[2:]),
        "all": write_model(store, photos),
    }
    models = plan_erasure(store, read_request([photos[0].image_id], [], images), images).models
    assert {(one.version, one.certain, one.current) for one in models} == {
        (versions["all"], True, True),
        (versions["without another"], False, False),
    }
    assert models[0].current


def test_a_model_of_other_folders_saw_nothing() -> None:
    assert saw({"folders": ["Plum"]}, Photos(2, 3, frozenset({"Fig"})), Photos(1, 1, frozenset({"Fig"}))) is False


@pytest.mark.parametrize("path", ["/photos/é '\"\\.jpg", "/photos/line\nbreak.jpg"])
def test_a_path_is_found_however_it_is_written_down(path: str) -> None:
    replace = replacement([path, "a" * 64])
    assert replace("A" * 64) == ERASED_TEXT
    for text in (path, json.dumps(path), json.dumps({"deep": json.dumps(path)}), json.dumps(path, ensure_ascii=False)):
        assert ERASED_TEXT in replace(text)
        assert "/photos" not in replace(text)
    assert replace("sha " + "a" * 64) == f"sha {ERASED_TEXT}"
    assert replace("b" * 64) == "b" * 64


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
