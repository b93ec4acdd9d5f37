"""The pictures and the metadata of the audit: numbers by label and kind, and no path of a photo."""

import base64
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fruits_assets.assets.audit_report import audit_metadata, splits_metadata
from fruits_assets.assets.charts.audit import (
    drift_by_folder,
    findings_by_kind,
    measure_histogram,
    photos_by_label,
    splits_by_label,
)
from fruits_assets.assets.charts.bars import Bar, horizontal_bars
from spark_steps.audit.drift import Drift
from spark_steps.queries.audit_report import FolderDrift, Kind, Measure
from spark_steps.queries.split_report import LabelCounts
from tests.support.audit.audited_store import audited_store, finding, report_of, split

SVG = "{http://www.w3.org/2000/svg}"
# Of the event log: a picture for each materialization.
MOST_CHARACTERS = 150_000


def texts_of(drawing: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawing).iter(f"{SVG}text")]  # noqa: S314


def widths_of(drawing: str, colour: str) -> list[float]:
    bars = [bar for bar in ET.fromstring(drawing).iter(f"{SVG}rect") if bar.get("fill") == colour]  # noqa: S314
    return [float(bar.attrib["width"]) for bar in bars]


def counts(label: str, photos: int, groups: int) -> LabelCounts:
    return LabelCounts(label, photos, groups, {"train": photos, "validation": 0, "test": 0})


def test_bars_are_as_long_as_their_numbers_and_leave_room_for_the_longest_text() -> None:
    bars = [
        Bar("one", ((1, "#111111"), (3, "#222222")), "4"),
        Bar("two", ((2, "#111111"), (6, "#222222")), "a much longer text than that of the first bar"),
    ]
    drawing = horizontal_bars("title", "photos", bars, [("first", "#333333")])
    first, second = widths_of(drawing, "#111111"), widths_of(drawing, "#222222")
    assert first[1] == pytest.approx(2 * first[0], rel=1e-3)
    assert second[0] == pytest.approx(3 * first[0], rel=1e-3)
    longest = first[1] + second[1]
    assert longest < 400
    assert {"title", "photos", "first", "one", "two", "4"} <= set(texts_of(drawing))


def test_bars_without_any_length_are_drawn_too() -> None:
    assert widths_of(horizontal_bars("", "", [Bar("none", ((0, "#111111"),), "0")]), "#111111") == [0]


def test_findings_are_drawn_by_severity() -> None:
    drawing = findings_by_kind([Kind("dark", 3, {"warning": 1, "info": 2}, []), Kind("tiny", 1, {"info": 1}, [])])
    texts = texts_of(drawing)
    assert {"4 findings by kind", "dark", "tiny", "3", "1", "error", "warning", "info"} <= set(texts)


def test_of_many_labels_those_with_the_fewest_effective_photos_are_drawn_in_their_order() -> None:
    labels = [counts(f"Fruit {number:03}", 300, 300 - number) for number in range(200)]
    texts = texts_of(photos_by_label(labels))
    assert [text for text in texts if text.startswith("Fruit")] == [f"Fruit {number:03}" for number in range(160, 200)]
    assert "photos; the 40 labels with the fewest effective photos, of 200" in texts


def test_the_largest_pictures_are_small_enough_for_the_event_log(tmp_path: Path) -> None:
    labels = [f"A fruit of a rather long name {number}" for number in range(150)]
    splits = [split(f"{label}/{number}.jpg", number) for label in labels for number in range(3)]
    report = report_of(audited_store(tmp_path, splits))
    drift = [FolderDrift(label, Drift(3, 0.2, 1.0 + number / 10)) for number, label in enumerate(labels)]
    measure = Measure("brightness", 10**6, {}, [number / 40 for number in range(41)], [25_000] * 40)
    for drawing in (
        photos_by_label(report.split.labels),
        splits_by_label(report.split),
        drift_by_folder(drift),
        measure_histogram(measure),
    ):
        ET.fromstring(drawing)  # noqa: S314
        assert len(base64.b64encode(drawing.encode())) < MOST_CHARACTERS


def test_names_of_any_characters_are_drawn_and_none_changes_the_picture() -> None:
    labels = ["</text><script>", "\u202ereversed", "りんご", "a\nb"]
    drawing = photos_by_label([counts(label, 2, 1) for label in labels])
    assert {"</text><script>", "\\u202ereversed", "りんご", "a\\nb"} <= set(texts_of(drawing))
    assert "</text><script>" in texts_of(drift_by_folder([FolderDrift(labels[0], Drift(1, 0.2, 1.0))]))


def test_the_metadata_have_numbers_that_plot_tables_and_pictures_and_no_path_of_a_photo(tmp_path: Path) -> None:
    splits = [split("Fig/secret 1.jpg", 0), split("Fig/secret 2.jpg", 0), split("Plum/secret.jpg", 1, "test")]
    findings = [
        finding("Fig/secret 1.jpg", "exact_copy", "error"),
        finding("Fig/secret 2.jpg", "near_duplicate", "warning"),
        finding("Fig/secret 2.jpg", "dark"),
    ]
    report = report_of(audited_store(tmp_path, splits, findings))
    of_split, of_audit = splits_metadata(report.split), audit_metadata(report)
    assert (of_split["train_photos"], of_split["test_photos"], of_split["groups"]) == (2, 1, 2)
    assert (of_split["photos_with_near_duplicates"], of_split["groups_across_splits"]) == (2, 0)
    assert [record.data for record in of_split["split_by_label"].records] == [
        {"label": "Fig", "photos": "2", "effective": "1", "train": "2", "validation": "0", "test": "0"},
        {"label": "Plum", "photos": "1", "effective": "1", "train": "0", "validation": "0", "test": "1"},
    ]
    assert (of_audit["errors"], of_audit["warnings"], of_audit["dark"], of_audit["photos"]) == (1, 1, 1, 3)
    pictures = [of_split["split_picture"], of_audit["balance"], of_audit["findings"]]
    drawn = [base64.b64decode(one.value.partition("base64,")[2].removesuffix(")")).decode() for one in pictures]
    assert all(one.startswith("<svg") for one in drawn)
    assert "secret" not in " ".join([str(of_split), str(of_audit), *drawn])


def test_an_audit_that_found_nothing_has_no_picture_of_findings(tmp_path: Path) -> None:
    metadata = audit_metadata(report_of(audited_store(tmp_path, [split("Fig/1.jpg", 0)])))
    assert "findings" not in metadata
    assert metadata["photos"] == 1
