"""What a store has cost so far, from the events of an instance."""

import dagster as dg
import pytest

from fruits_assets.money.cost_so_far import EQUIVALENT, PAID, CostSoFar, cost_so_far

REPORTED, ASSETS = dg.AssetKey("store_report"), [dg.AssetKey("raw_images"), dg.AssetKey("pca_model")]


def note(instance: dg.DagsterInstance, asset: dg.AssetKey, **costs: float) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata=dict(costs)))


def test_costs_are_added_to_those_of_the_last_report_and_no_event_is_counted_twice(
    instance: dg.DagsterInstance,
) -> None:
    assert cost_so_far(instance, REPORTED, ASSETS) == CostSoFar()
    for _ in range(3):
        note(instance, ASSETS[0], run_cost_eur=0.5, equivalent_cluster_cost_eur=0.25)
    note(instance, ASSETS[1], run_cost_eur=0.125)
    first = cost_so_far(instance, REPORTED, ASSETS)
    assert first == CostSoFar(1.625, 0.75)
    note(instance, REPORTED, **{PAID: first.paid, EQUIVALENT: first.equivalent})
    assert cost_so_far(instance, REPORTED, ASSETS) == first
    note(instance, ASSETS[1], run_cost_eur=0.25)
    assert cost_so_far(instance, REPORTED, ASSETS) == CostSoFar(1.875, 0.75)


def test_events_are_read_to_the_last_page(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruits_assets.money.cost_so_far._EVENTS_AT_A_TIME", 2)
    for _ in range(5):
        note(instance, ASSETS[0], run_cost_eur=1.0)
    assert cost_so_far(instance, REPORTED, ASSETS).paid == 5
