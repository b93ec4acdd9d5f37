"""What a step has cost, and what each folder bears of it."""

import json
from dataclasses import replace

import pytest

from fruits_assets.money.costs import ClusterCostModel, CostModel, EuroRate, LocalCostModel, entries
from fruits_assets.settings import read_settings
from tests.support.aws.money import ROUND


def cluster_model() -> ClusterCostModel:
    return ClusterCostModel(
        "j-1", {"master": 1, "core": 2}, "m5.xlarge", ROUND.node_hour("m5.xlarge"), "Price List API, 2026-11-20"
    )


def test_a_step_costs_the_time_of_all_nodes() -> None:
    cost = cluster_model().of_seconds(600)
    told = entries(cost, images=2000)
    # 600 s of three nodes are half an hour of one.
    assert told["run_cost_eur"] == pytest.approx(0.25)
    parts = [told[f"run_cost_{part}_eur"] for part in ("ec2", "emr", "ebs")]
    assert parts == pytest.approx([0.2, 0.04, 0.01])
    assert told["cost_per_1000_images_eur"] == pytest.approx(0.125)
    assert "600.0 s x 3 m5.xlarge (1 master + 2 core) x 0.5000 EUR/h" in told["cost_computed_from"]
    assert "Price List API, 2026-11-20" in told["cost_computed_from"]
    assert "fruits clusters" in told["cost_computed_from"]
    assert "equivalent_cluster_cost_eur" not in told


def test_folders_bear_shares_of_a_cost_that_add_up_at_one_price_for_a_photo() -> None:
    cost = cluster_model().of_seconds(600)
    parts = [entries(cost, 0.75, 1500), entries(cost, 0.25, 500)]
    assert sum(part["run_cost_eur"] for part in parts) == pytest.approx(0.25)
    assert {round(part["cost_per_1000_images_eur"], 9) for part in parts} == {0.125}


def test_a_folder_without_work_has_no_cost_for_a_photo() -> None:
    assert "cost_per_1000_images_eur" not in entries(cluster_model().of_seconds(1), 0.0, 0)


def test_the_model_of_a_cluster_travels_as_json() -> None:
    assert ClusterCostModel.from_json(json.loads(json.dumps(cluster_model().to_json()))) == cluster_model()


def test_prices_without_vat_become_euros_with_it_and_the_source_says_so() -> None:
    rate = EuroRate(0.9, 20.0)
    taxed = replace(ROUND, rate=rate)
    assert taxed.node_hour_eur("m5.xlarge") == pytest.approx(0.5 * 0.9 * 1.2)
    assert taxed.computed_from == "Price List API, 2026-11-20, eu-west-3, 0.9 EUR/USD, with 20 % VAT"
    assert str(EuroRate(0.9, 0.0)) == "0.9 EUR/USD, without VAT"
    local = LocalCostModel(8, 2, rate).of_seconds(3600)
    assert local.equivalent_eur == pytest.approx(3 * 0.272 * 0.9 * 1.2)
    assert local.computed_from.count("with 20 % VAT") == 1


def test_local_work_costs_nothing_in_all_its_parts() -> None:
    told = entries(CostModel.of(read_settings(cores="2")).of_seconds(60), images=10)
    assert [told[name] for name in told if name.startswith("run_cost")] == [0, 0, 0, 0]
    assert told["equivalent_cluster_cost_eur"] > 0
