"""Flags of quality: what is beyond a threshold is flagged, with the number, and nothing else is."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from benchmarks.studies.quality import AS_THEY_ARE, FAULTS, decoded, planted, rows_of
from spark_steps.audit.flags import FLAG_COLUMNS, FLAG_KINDS, Flag, flags_of
from spark_steps.audit.settings import FlagThresholds
from spark_steps.tables.schemas import FEATURES_SCHEMA

GOOD: dict[str, Any] = {
    "width": 100,
    "height": 75,
    "brightness": 0.5,
    "contrast": 0.8,
    "sharpness": 0.4,
    "colour_spread": 0.3,
}
THRESHOLDS = FlagThresholds(0.15, 0.95, 0.02, 0.15, 64, 3.0, 0.04)
SCHEMA = pa.schema([FEATURES_SCHEMA.field(name) for name in FLAG_COLUMNS])


def rows(*changes: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{**GOOD, **change} for change in changes], SCHEMA)


def flag(**change: Any) -> Flag:
    ((found,),) = flags_of(rows(change), THRESHOLDS)
    return found


def test_a_photo_within_all_thresholds_has_no_flag() -> None:
    assert flags_of(rows({}), THRESHOLDS) == [()]
    assert flags_of(rows(), THRESHOLDS) == []


def test_each_kind_says_in_a_sentence_what_was_compared() -> None:
    for change, kind, reason in (
        ({"brightness": 0.081}, "dark", "The photo is dark: brightness 0.081 is below 0.15."),
        ({"brightness": 0.97}, "bright", "The photo is bright: brightness 0.97 is above 0.95."),
        ({"sharpness": 0.0012}, "blurred", "The photo is blurred: sharpness 0.0012 is below 0.02."),
        ({"contrast": 0.05}, "low_contrast", "The photo has low contrast: contrast 0.05 is below 0.15."),
        ({"width": 24, "height": 30}, "tiny", "The photo is tiny: its shorter side of 24 pixels is below 64."),
        (
            {"width": 1300, "height": 100},
            "odd_aspect",
            "The photo has an odd aspect: its longer side is 13 times the shorter one, above 3.",
        ),
        (
            {"colour_spread": 0.01},
            "one_colour",
            "The photo is nearly one colour: colour spread 0.01 is below 0.04.",
        ),
    ):
        found = flag(**change)
        assert (found.kind, found.reason) == (kind, reason)
    assert flag(width=75, height=975).score == 13
    assert flag(sharpness=0.0012).score == pytest.approx(0.0012)


def test_a_photo_may_have_several_flags_and_its_neighbours_have_none_of_them() -> None:
    black = {"brightness": 0.0, "contrast": 0.0, "sharpness": 0.0, "colour_spread": 0.0, "width": 30, "height": 300}
    first, second, third = flags_of(rows({}, black, {}), THRESHOLDS)
    assert (first, third) == ((), ())
    assert [one.kind for one in second] == [kind for kind in FLAG_KINDS if kind != "bright"]


def test_a_photo_without_measures_has_no_flag() -> None:
    assert flags_of(rows(dict.fromkeys(FLAG_COLUMNS)), THRESHOLDS) == [()]
    assert [one.kind for one in flags_of(rows({**dict.fromkeys(FLAG_COLUMNS), "contrast": 0.1}), THRESHOLDS)[0]] == [
        "low_contrast"
    ]


def test_a_number_at_the_threshold_is_not_flagged_and_one_next_to_it_is_told_apart_from_it() -> None:
    assert flags_of(rows({"width": 64, "height": 64}, {"width": 300, "height": 100}), THRESHOLDS) == [(), ()]
    assert flags_of(pa.Table.from_pylist([{**GOOD, "contrast": 0.15}]), THRESHOLDS) == [()]
    ((near,),) = flags_of(pa.Table.from_pylist([{**GOOD, "contrast": 0.1499996}]), THRESHOLDS)
    assert near.reason == "The photo has low contrast: contrast 0.1499996 is below 0.15."


def test_batches_and_chunked_tables_with_other_columns_have_the_same_flags() -> None:
    table = pa.concat_tables([rows({"contrast": 0.05}), rows({}, {"width": 20})])
    expected = flags_of(table, THRESHOLDS)
    assert [len(flags) for flags in expected] == [1, 0, 2]
    others = table.append_column("path", pa.array(["a", "b", "c"]))
    assert flags_of(others, THRESHOLDS) == expected
    assert flags_of(others.combine_chunks().to_batches()[0], THRESHOLDS) == expected


def photo_of_fruit(random: np.random.Generator) -> Image.Image:
    """A spotted disc on white."""
    y, x = np.mgrid[:100, :100]
    spots = random.normal(0, 25, (100, 100, 1)) + random.uniform(40, 200, 3)
    inside = ((x - 50) ** 2 + (y - 50) ** 2 < 38**2)[:, :, np.newaxis]
    return Image.fromarray(np.where(inside, spots, 255).clip(0, 255).astype(np.uint8))


def test_the_default_thresholds_find_faults_that_are_planted_and_flag_no_good_photo() -> None:
    random = np.random.default_rng(0)
    originals = [photo_of_fruit(random) for _ in range(10)]
    good = rows_of(decoded(AS_THEY_ARE.file_of(one, random)) for one in originals)
    assert flags_of(good, FlagThresholds()) == [()] * len(originals)
    faulty = list(planted(originals, AS_THEY_ARE, random))
    assert {name for name, _, _ in faulty} == set(FAULTS)
    flagged = flags_of(rows_of(photo for _, _, photo in faulty), FlagThresholds())
    missed = [
        name for (name, kind, _), flags in zip(faulty, flagged, strict=True) if kind not in [f.kind for f in flags]
    ]
    # At the edge: a hundredth of the side is one pixel here.
    assert set(missed) <= {"blurred, 1.0% of the side"}
