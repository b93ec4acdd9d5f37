"""The store as a whole: one table, a curve, and what all of it has cost so far."""

import base64
import dataclasses

import dagster as dg
import numpy as np
import pytest

from fruits_assets.assets.charts.variance_sketch import SHOWN_IN_PLACE, variance_sketch
from fruits_assets.assets.metadata import significant
from fruits_assets.assets.overview import overview, summary_table
from fruits_assets.money.cost_so_far import PAID, CostSoFar
from spark_steps.pca.model import PcaModel
from spark_steps.queries.report import StoreReport
from spark_steps.store.staleness import Staleness


def report(**given: object) -> StoreReport:
    found = StoreReport(
        store="/s",
        folders=3,
        photos=4000,
        photos_by_folder={"a/Apple": 1, "b/Apple": 2, "Plum": 3997},
        usable=3996,
        rejected={"truncated": 3, "empty": 1},
        rejected_photos=[],
        stale=Staleness(),
        reduced=3996,
        pca_model="798a0a39cb0df528",
        components=50,
        variance_kept=0.781,
        bytes={"photos": 40_000_000, "features": 20_000_000, "reduced": 800_000},
    )
    return dataclasses.replace(found, **given)  # type: ignore[arg-type]


def model(components: int = 50, of: int = 1280) -> PcaModel:
    ratios = np.sort(np.random.default_rng(0).exponential(1, of))[::-1]
    nothing = np.empty(0)
    return PcaModel("798a", "m", 4000, [], components, 50, None, nothing, nothing, nothing, ratios / ratios.sum())


def test_the_store_is_told_in_one_table_and_in_numbers_that_plot() -> None:
    table = summary_table(report(), CostSoFar(1.234, 0.0567))
    for row in (
        "| Photos | 4,000 in 3 folders, 2 labels |",
        "| Rejected | 3 truncated, 1 empty (0.1%) |",
        "| Variance | 78.1% kept by 50 components |",
        "| Stale | nothing |",
        "| Cost so far | 1.23 EUR; the work done here would have cost 0.057 EUR on a cluster |",
    ):
        assert row in table
    numbers = overview(report(stale=Staleness(not_reduced=["Plum"])), model(), CostSoFar(1.234, 0.0))
    assert (numbers["photos"], numbers["rejected"], numbers["labels"], numbers["stale_folders"]) == (4000, 4, 2, 1)
    assert (numbers["rejected_share"], numbers[PAID]) == (0.001, 1.234)


def test_names_of_folders_are_not_in_what_the_ui_reads_as_markdown() -> None:
    name = "![x](https://example.org/x.png)"
    told = overview(report(photos_by_folder={name: 4000}, stale=Staleness(not_reduced=[name])), model(), CostSoFar())
    assert all(name not in str(one.value) for one in told.values() if isinstance(one, dg.MarkdownMetadataValue))
    assert "**1 folder**" in str(told["summary"].value)
    assert told["stale_folders_named"] == [name]


@pytest.mark.parametrize(("components", "of"), [(1, 1), (22, 22), (50, 1280), (350, 1280), (1280, 1280)])
def test_what_is_to_be_seen_without_a_click_is_short_enough(components: int, of: int) -> None:
    many = {f"reason number {number}": 1_000_000 - number for number in range(20)}
    table = summary_table(
        report(rejected=many, photos=10**8, stale=Staleness(not_reduced=[f"Plum {n}" for n in range(10_000)])),
        CostSoFar(1234.5, 1234.5),
    )
    assert len(table) <= SHOWN_IN_PLACE
    curve = str(variance_sketch(model(components, of)).value)
    assert len(curve) <= SHOWN_IN_PLACE
    drawn = base64.b64decode(curve.rpartition("base64,")[2].rstrip(")")).decode()
    assert f"{components} components keep" in drawn


def test_numbers_are_rounded_to_digits_and_not_to_decimals() -> None:
    shown = [significant(number) for number in (0.000123456, 41.26789, 12345.6, 0.0)]
    assert shown == [0.0001235, 41.27, 12350.0, 0.0]
