"""An erasure in S3: of all versions of all objects."""

import dagster as dg
import pyarrow.compute as pc

from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.aws.s3_server import S3
from tests.support.erasing import all_versions, erase_all, receipts, versions
from tests.support.small_store import (
    Photo,
    files_that_say,
    make_photos,
    rows_of,
    write_photos,
    write_rows,
)


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
