"""What Dagster has noted of photos is forgotten with them."""

import json
from pathlib import Path

import dagster as dg

from fruits_assets.definitions import build_definitions
from fruits_assets.instance.records import ERASED_TEXT, replacement
from spark_steps.erasure.carry_out import decide
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.store.store import Store
from tests.support.erasing import erase_all, settings_of
from tests.support.small_store import (
    Photo,
    contents_below,
    files_that_say,
    rows_of,
)


def test_the_job_erases_and_dagsters_records_of_it_name_no_photo(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance, tmp_path: Path
) -> None:
    job = build_definitions(settings_of(images, store)).resolve_job_def("erase_photos")
    asked = {"paths": [some[0].location], "image_ids": [some[4].image_id]}
    result = job.execute_in_process({"ops": {"erase_what_is_named": {"config": asked}}}, instance=home)
    assert result.success
    assert [table.num_rows for table in rows_of(store).values()] == [4] * 5
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
