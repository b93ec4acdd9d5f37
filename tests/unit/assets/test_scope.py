"""What a check says it has looked at."""

import pytest

from fruits_assets.assets.scope import folders_of_run, scope
from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from fruits_assets.instance.tags import folders_tag

STORE = ["Apple", "Banana", "Lemon", "Plum"]


def test_a_check_of_one_folder_says_that_it_looked_at_no_other() -> None:
    looked_at = scope(["Lemon"], STORE)
    assert looked_at.folders == ["Lemon"]
    said = looked_at.describe("all 16 photos are usable.")
    assert said == "In folder 'Lemon' of this run, not in all 4 of the store: all 16 photos are usable."


def test_a_check_of_some_folders_says_how_many_and_of_how_many() -> None:
    assert scope(["Plum", "Apple"], STORE).where == "in the 2 folders of this run, not in all 4 of the store"


@pytest.mark.parametrize("of_run", [None, STORE, [*STORE, "Kiwi"]])
def test_a_run_of_all_folders_is_the_store(of_run: list[str] | None) -> None:
    looked_at = scope(of_run, STORE)
    assert set(looked_at.folders) == {*STORE, *(of_run or [])}
    assert looked_at.where == f"in all {len(looked_at.folders)} folders of the store"


def test_a_store_that_is_small_enough_is_looked_at_as_a_whole() -> None:
    assert scope(["Lemon"], STORE, whole_up_to=4).folders == STORE
    assert scope(["Lemon"], STORE, whole_up_to=3).folders == ["Lemon"]


@pytest.mark.parametrize(
    ("tags", "folders"),
    [
        ({}, None),
        ({PARTITION_NAME_TAG: "Plum"}, ["Plum"]),
        (
            {ASSET_PARTITION_RANGE_START_TAG: "Banana", ASSET_PARTITION_RANGE_END_TAG: "Plum"},
            ["Banana", "Lemon", "Plum"],
        ),
        # It was dropped since the run began.
        ({ASSET_PARTITION_RANGE_START_TAG: "Banana", ASSET_PARTITION_RANGE_END_TAG: "Quince"}, None),
        (
            {
                ASSET_PARTITION_RANGE_START_TAG: "Apple",
                ASSET_PARTITION_RANGE_END_TAG: "Apple",
                **folders_tag(["Apple", "Lemon"]),
            },
            ["Apple", "Lemon"],
        ),
    ],
)
def test_the_folders_of_a_run_are_those_of_its_tags(tags: dict[str, str], folders: list[str] | None) -> None:
    assert folders_of_run(tags, STORE) == folders
