"""The findings of an audit in numbers, with the worst of each kind, and the measures of the photos."""

import json
from pathlib import Path

import pytest

from spark_steps.queries.audit_report import KINDS, Kind, read_findings, read_measures
from spark_steps.store.store import Store
from tests.support.audit.audited_store import Row, audited_store, features, finding, report_of, split, write


def findings_of(root: Path, rows: list[Row], examples: int = 5) -> list[Kind]:
    store = Store(str(root))
    write(store.photo_audit, rows)
    return read_findings(store, examples)


def paths(kind: Kind) -> list[str]:
    return [one.path for one in kind.examples]


def test_findings_are_counted_by_kind_and_severity_and_errors_come_first(tmp_path: Path) -> None:
    rows = [
        finding("Fig/1.jpg", "dark"),
        finding("Fig/1.jpg", "near_duplicate"),
        finding("Plum/1.jpg", "near_duplicate", "warning"),
        finding("Plum/1.jpg", "label_conflict", "error"),
        finding("Fig/2.jpg", "a kind of a later release"),
        finding("Plum/2.jpg", "exact_copy"),
    ]
    found = findings_of(tmp_path, rows)
    assert [one.kind for one in found] == [
        "label_conflict",
        "exact_copy",
        "near_duplicate",
        "dark",
        "a kind of a later release",
    ]
    assert found[2].findings == 2
    assert list(found[2].severities.items()) == [("warning", 1), ("info", 1)]


def test_the_examples_are_the_worst_of_all_folders_and_no_more_than_asked_for(tmp_path: Path) -> None:
    rows = [
        finding(f"{folder}/{number}.jpg", kind, score=number / 10 + (folder == "Fig") / 20)
        for folder in ("Fig", "Plum")
        for number in range(4)
        for kind in ("dark", "bright")
    ]
    found = {one.kind: one for one in findings_of(tmp_path, rows, examples=3)}
    assert paths(found["dark"]) == ["Plum/0.jpg", "Fig/0.jpg", "Plum/1.jpg"]
    assert paths(found["bright"]) == ["Fig/3.jpg", "Plum/3.jpg", "Fig/2.jpg"]
    assert found["dark"].findings == 8
    (kind,) = findings_of(tmp_path / "other", [finding("Fig/1.jpg", "dark")], examples=0)
    assert (kind.findings, kind.examples) == (1, [])


def test_examples_of_a_worse_severity_come_before_worse_scores_and_those_without_a_score_last(tmp_path: Path) -> None:
    rows = [
        finding("Fig/1.jpg", "exact_copy", "info", 1.0),
        finding("Fig/2.jpg", "exact_copy", "error", 0.9),
        finding("Fig/3.jpg", "exact_copy", "info", None),
        finding("Plum/0.jpg", "exact_copy", "info", 1.0),
    ]
    (kind,) = findings_of(tmp_path, rows)
    assert paths(kind) == ["Fig/2.jpg", "Fig/1.jpg", "Plum/0.jpg", "Fig/3.jpg"]


def test_twins_of_one_group_are_neighbours_among_the_examples(tmp_path: Path) -> None:
    rows = [
        finding(f"{folder}/{group}.jpg", "near_duplicate", score=0.99, group=group)
        for group in (2, 0, 1)
        for folder in ("Plum", "Fig")
    ]
    (kind,) = findings_of(tmp_path, rows)
    assert [one.group for one in kind.examples] == [0, 0, 1, 1, 2]


def test_a_store_of_which_nothing_was_found_has_no_kinds(tmp_path: Path) -> None:
    assert read_findings(Store(str(tmp_path))) == []


def test_the_measures_of_photos_with_features_are_summed_up_and_those_of_none_left_out(tmp_path: Path) -> None:
    rows = [features(f"Fig/{number}.jpg", brightness=number / 100, sharpness=1.0) for number in range(101)]
    rows += [
        features("Fig/a.png", format="PNG"),
        features("Fig/b.jpg", features=None, error="empty: no bytes", format=None, brightness=9.0),
    ]
    store = Store(str(tmp_path))
    write(store.mobilenet_features, rows)
    (brightness, sharpness), formats = read_measures(store)
    assert (brightness.name, brightness.photos) == ("brightness", 101)
    assert list(brightness.quantiles) == ["1%", "5%", "50%", "95%", "99%"]
    assert list(brightness.quantiles.values()) == pytest.approx([0.01, 0.05, 0.5, 0.95, 0.99])
    assert (sum(brightness.counts), len(brightness.edges)) == (101, len(brightness.counts) + 1)
    assert (brightness.edges[0], brightness.edges[-1]) == pytest.approx((0, 0.99))
    # All photos have one value: the histogram has a width all the same.
    assert sum(sharpness.counts) == 101
    assert list(formats.items()) == [("JPEG", 101), ("PNG", 1)]


def test_a_store_without_measures_has_none(tmp_path: Path) -> None:
    report = report_of(audited_store(tmp_path, [split("Fig/1.jpg", 0)]))
    assert (report.measures, report.formats) == ([], {"JPEG": 1})


def test_the_report_has_findings_by_severity_and_is_a_json_document(tmp_path: Path) -> None:
    store = audited_store(
        tmp_path,
        [split("Fig/1.jpg", 0), split("Plum/1.jpg", 1)],
        [
            finding("Fig/1.jpg", "exact_copy", "error"),
            finding("Fig/1.jpg", "dark"),
            finding("Plum/1.jpg", "exact_copy"),
        ],
    )
    report = report_of(store)
    assert report.severities == {"error": {"exact_copy": 1}, "info": {"exact_copy": 1, "dark": 1}}
    assert (report.findings("exact_copy"), report.findings("exact_copy", "error")) == (2, 1)
    assert report.findings("blurred") == 0
    assert report.written is not None
    document = json.loads(json.dumps(report.as_json()))
    assert document["written"] == f"{report.written:%Y-%m-%dT%H:%M:%SZ}"
    assert document["settings"]["shares"] == [0.7, 0.15, 0.15]
    assert document["kinds"][0]["examples"][0]["path"] == "Fig/1.jpg"


def test_every_kind_is_described_once() -> None:
    assert len(KINDS) == len(set(KINDS.values())) == 12
