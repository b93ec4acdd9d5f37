"""Prices, spend, budget, the cost of a step, and estimates: each by figures worked out by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from fruits_assets.commands.aws.estimate import as_text, estimate_command
from fruits_assets.money import prices as prices_module
from fruits_assets.money.budget import check_budget, rest_eur, worst_case_eur
from fruits_assets.money.costs import ClusterCostModel, CostModel, Euros, entries
from fruits_assets.money.estimate import IMAGES_PER_SECOND_PER_CORE, SECONDS_PER_FOLDER, Estimate, estimate
from fruits_assets.money.prices import (
    API,
    TABLE,
    NodePrice,
    Prices,
    ebs_gigabytes,
    highest_usd,
    read_prices,
    table_prices,
)
from fruits_assets.money.s3_requests import requests_of_run
from fruits_assets.money.spend import ClusterSpend, Spend, cost_of_instances, month_spend, month_start
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.support.project import PROJECT

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
# A node of 0.50 EUR an hour: 0.40 EC2, 0.08 EMR and 0.02 for disks of 73 GB at 0.20 a month.
ROUND = Prices(API, "2026-11-20", "eu-west-3", 1.0, 0.2, {"m5.xlarge": NodePrice(0.4, 0.08, 73)})
# A node of the table, for an hour: (0.224 + 0.048 + 79 x 0.116 / 730) x 0.92.
TABLE_NODE = (0.224 + 0.005 + 0.048 + 79 * 0.116 / 730) * 0.92


@pytest.fixture(autouse=True)
def no_prices_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    prices_module._of_the_day.cache_clear()
    prices_module._live_node.cache_clear()
    yield
    prices_module._of_the_day.cache_clear()
    prices_module._live_node.cache_clear()


def product(unit: str, *usd: str, terms: str = "OnDemand") -> str:
    """A product as GetProducts gives it: prices are strings three levels down, under keys made of codes."""
    sku, offer = "VGHPPDZ4JQ8Z5AQH", "VGHPPDZ4JQ8Z5AQH.JRTCKXETXF"
    dimensions = {
        f"{offer}.{number}": {
            "unit": unit,
            "beginRange": "0",
            "endRange": "Inf",
            "description": f"${price} per {unit}",
            "appliesTo": [],
            "rateCode": f"{offer}.{number}",
            "pricePerUnit": {"USD": price},
        }
        for number, price in enumerate(usd)
    }
    term = {
        "sku": sku,
        "offerTermCode": "JRTCKXETXF",
        "effectiveDate": "2026-11-01T00:00:00Z",
        "termAttributes": {},
        "priceDimensions": dimensions,
    }
    return json.dumps(
        {
            "product": {
                "productFamily": "Compute Instance",
                "sku": sku,
                "attributes": {"instanceType": "m5.xlarge", "regionCode": "eu-west-3", "operatingSystem": "Linux"},
            },
            "serviceCode": "AmazonEC2",
            "terms": {terms: {offer: term}},
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z",
        }
    )


def instance(created: datetime, ended: datetime | None = None, state: str = "RUNNING", kind: str = "m5.xlarge") -> Any:
    """An instance as ListInstances gives it."""
    timeline = {"CreationDateTime": created, "ReadyDateTime": created + timedelta(minutes=6)}
    return {
        "Id": "ci-1",
        "Ec2InstanceId": "i-1",
        "InstanceType": kind,
        "Market": "ON_DEMAND",
        "Status": {
            "State": state,
            "StateChangeReason": {},
            "Timeline": timeline | ({"EndDateTime": ended} if ended else {}),
        },
    }


def spent(eur: float, state: str = "TERMINATED", stack: str | None = "fruits", hourly: float = 0.0) -> ClusterSpend:
    return ClusterSpend(
        "j-1", "fruits-fruits", state, stack, NOW - timedelta(hours=1), None, 3, Euros(ec2=eur), Euros(ec2=hourly)
    )


def spend_of(*clusters: ClusterSpend) -> Spend:
    return Spend(MONTH, NOW, clusters, "test")


# Prices


def test_a_price_is_found_in_the_nested_answer_of_the_price_list_api() -> None:
    assert highest_usd([product("Hrs", "0.2240000000")], "Hrs") == 0.224


def test_of_several_products_the_dearest_counts_and_reserved_and_free_ones_do_not() -> None:
    answers = [
        product("Hrs", "0.0000000000"),
        product("Hrs", "0.2240000000", "0.2300000000"),
        product("Quantity", "900.0000000000"),
        product("Hrs", "5.0000000000", terms="Reserved"),
    ]
    assert highest_usd(answers, "Hrs") == 0.23


def test_no_price_is_none_and_not_nothing() -> None:
    assert highest_usd([], "Hrs") is None
    assert highest_usd([product("Hrs", "0.0000000000")], "Hrs") is None


def test_a_node_hour_is_machine_fee_and_disks_in_euros() -> None:
    hour = ROUND.node_hour("m5.xlarge")
    assert (hour.ec2, hour.emr, hour.ebs) == pytest.approx((0.4, 0.08, 0.02))
    assert ROUND.node_hour_eur("m5.xlarge") == pytest.approx(0.5)
    assert table_prices(0.92).node_hour_eur("m5.xlarge") == pytest.approx(TABLE_NODE)
    assert pytest.approx(0.2664, abs=1e-4) == TABLE_NODE


def test_the_disks_of_a_node_follow_its_size() -> None:
    sizes = ("m5.large", "m5.xlarge", "m5.2xlarge", "m5.4xlarge", "r5.24xlarge", "m5.metal")
    assert [ebs_gigabytes(size) for size in sizes] == [47, 79, 143, 271, 1551, 1551]


def test_a_type_that_is_not_in_the_table_is_named_with_the_remedy() -> None:
    with pytest.raises(FruitsError, match=r"g5\.xlarge.*pricing:GetProducts"):
        table_prices(0.92).node_hour_eur("g5.xlarge")
    with pytest.raises(FruitsError, match=r"g5\.xlarge.*pricing:GetProducts"):
        table_prices(0.92).including({"m5.xlarge", "g5.xlarge"})


@mock_aws
def test_the_table_steps_in_where_the_api_cannot_be_read_and_the_prices_say_so() -> None:
    # moto knows no pricing: the call fails.
    prices = read_prices(read_settings())
    assert (prices.source, prices.date) == (TABLE, "2026-09")
    assert "as commonly quoted; the Price List API was not read" in prices.computed_from
    assert prices.node_hour_eur("m5.xlarge") == pytest.approx(TABLE_NODE)


def test_without_credentials_the_table_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert "NoCredentialsError" in read_prices(read_settings()).computed_from


def test_the_table_of_another_region_says_whose_prices_they_are() -> None:
    assert "those of eu-west-3" in table_prices(0.92, "eu-central-1").computed_from
    assert "those of" not in table_prices(0.92).computed_from


# Spend


def test_instances_cost_each_second_from_creation_to_end() -> None:
    hours = [
        instance(NOW - timedelta(hours=3), NOW - timedelta(hours=1), "TERMINATED"),
        instance(NOW - timedelta(minutes=30)),
    ]
    cost = cost_of_instances(hours, ROUND, MONTH, NOW)
    # 2 h + 0.5 h at 0.40, 0.08 and 0.02 EUR.
    assert (cost.ec2, cost.emr, cost.ebs) == pytest.approx((1.0, 0.2, 0.05))
    assert cost.total == pytest.approx(1.25)


def test_an_instance_of_seconds_costs_a_minute() -> None:
    short = instance(NOW - timedelta(seconds=10), NOW - timedelta(seconds=5), "TERMINATED")
    assert cost_of_instances([short], ROUND, MONTH, NOW).total == pytest.approx(0.5 / 60)


def test_only_the_part_inside_the_month_counts() -> None:
    across = instance(MONTH - timedelta(hours=5), MONTH + timedelta(hours=1), "TERMINATED")
    before = instance(MONTH - timedelta(hours=5), MONTH - timedelta(hours=1), "TERMINATED")
    assert cost_of_instances([across, before], ROUND, MONTH, NOW).total == pytest.approx(0.5)


def test_an_instance_that_was_asked_for_and_has_not_come_costs_nothing() -> None:
    waiting = instance(NOW - timedelta(hours=1), state="AWAITING_FULFILLMENT")
    assert cost_of_instances([waiting], ROUND, MONTH, NOW) == Euros()


def test_the_month_is_that_of_utc() -> None:
    paris = datetime.fromisoformat("2026-12-01T00:30:00+01:00")
    assert month_start(paris) == MONTH


def run_by_hand(emr: Any, name: str = "Somebody's cluster", core: int = 2, **asked: Any) -> str:
    groups = [
        {"InstanceRole": role, "InstanceType": "m5.xlarge", "InstanceCount": count}
        for role, count in (("MASTER", 1), ("CORE", core))
    ]
    started = emr.run_job_flow(
        Name=name,
        ReleaseLabel="emr-7.14.0",
        Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
        **asked,
    )
    cluster_id: str = started["JobFlowId"]
    return cluster_id


@mock_aws
def test_a_cluster_started_by_hand_counts_and_so_does_one_that_has_ended() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    by_hand = run_by_hand(emr)
    ours = run_by_hand(emr, "fruits-fruits", 4, Tags=[{"Key": "fruits-stack", "Value": "fruits"}])
    emr.terminate_job_flows(JobFlowIds=[ours])
    start = emr.describe_cluster(ClusterId=by_hand)["Cluster"]["Status"]["Timeline"]["CreationDateTime"]
    now = start + timedelta(hours=2)
    # Around midnight before the first of a month, less than two hours of it are in the month, and of ours nothing.
    hours = (now - max(start, month_start(now))).total_seconds() / 3600
    minute = 1 / 60 if hours == 2 else 0.0
    spend = month_spend(emr, ROUND, now)
    found = {cluster.id: cluster for cluster in spend.clusters}
    assert found[by_hand].eur == pytest.approx(3 * hours * 0.5, abs=0.01)
    assert not found[by_hand].ours
    assert found[by_hand].running
    assert found[by_hand].hourly.total == pytest.approx(1.5)
    if minute:
        # Five instances of a minute at least.
        assert found[ours].eur == pytest.approx(5 * 0.5 * minute, abs=0.01)
        assert (found[ours].stack, found[ours].running, found[ours].hourly) == ("fruits", False, Euros())
    assert spend.total_eur == pytest.approx(3 * hours * 0.5 + 5 * 0.5 * minute, abs=0.02)


@mock_aws
def test_all_pages_are_read() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    ids = {run_by_hand(emr) for _ in range(60)}
    spend = month_spend(emr, ROUND, datetime.now(UTC) + timedelta(minutes=1))
    assert {cluster.id for cluster in spend.clusters} == ids


@mock_aws
def test_a_cluster_that_ended_before_the_month_does_not_count() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    emr.terminate_job_flows(JobFlowIds=[run_by_hand(emr)])
    next_month = (month_start(datetime.now(UTC)) + timedelta(days=32)).replace(day=2)
    assert month_spend(emr, ROUND, next_month).clusters == ()
    living = run_by_hand(emr)
    later = month_spend(emr, ROUND, next_month + timedelta(days=100))
    assert [cluster.id for cluster in later.clusters] == [living]


# Budget


def test_the_worst_case_is_the_most_nodes_for_the_greatest_age_and_ten_minutes_of_boot_and_end() -> None:
    settings = read_settings(max_core_nodes=4, max_age_minutes=110)
    assert worst_case_eur(settings, ROUND) == pytest.approx(5 * 2 * 0.5)


def test_a_cluster_of_ours_at_its_greatest_age_may_still_cost_ten_minutes() -> None:
    settings = read_settings(max_core_nodes=4, max_age_minutes=120)
    at_that_age = spent(5 * 2 * 0.5, "RUNNING", hourly=2.5)
    assert rest_eur(at_that_age, worst_case_eur(settings, ROUND)) == pytest.approx(5 * 10 / 60 * 0.5)


def test_a_budget_that_fits_to_the_cent_is_enough() -> None:
    check_budget(spend_of(spent(5.004)), worst_case_eur=5.0, budget_eur=10.0)


def test_a_budget_that_does_not_fit_refuses_with_the_figures_and_what_to_do() -> None:
    with pytest.raises(FruitsError) as refused:
        check_budget(spend_of(spent(4.0), spent(3.5)), worst_case_eur=2.62, budget_eur=10.0)
    for part in (
        "budget of 10.00 EUR for November 2026",
        "7.50 EUR spent so far + 2.62 EUR that a new one",
        "= 10.12 EUR",
        "FRUITS_BUDGET_EUR",
        "FRUITS_MAX_AGE_MINUTES",
        "first of the next month",
    ):
        assert part in str(refused.value)


def test_a_cluster_of_ours_that_runs_counts_with_the_rest_of_its_worst_case() -> None:
    running = spent(1.0, "RUNNING", hourly=1.5)
    assert rest_eur(running, 2.5) == 1.5
    # 1.00 spent + 1.50 rest + 2.50 new.
    check_budget(spend_of(running), 2.5, 5.0)
    with pytest.raises(FruitsError, match=r"\+ 1\.50 EUR that 1 running cluster may still cost"):
        check_budget(spend_of(running), 2.5, 4.99)


def test_a_cluster_of_others_that_runs_counts_with_another_hour_and_one_that_ends_with_nothing() -> None:
    assert rest_eur(spent(30.0, "WAITING", stack=None, hourly=1.5), 2.5) == 1.5
    assert rest_eur(spent(30.0, "TERMINATING", stack=None, hourly=1.5), 2.5) == 0
    assert rest_eur(spent(1.0, "TERMINATED"), 2.5) == 0


def test_an_empty_budget_allows_nothing() -> None:
    with pytest.raises(FruitsError, match=r"budget of 0\.00 EUR"):
        check_budget(spend_of(), 0.5, 0.0)


# The cost of a step


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


def test_local_work_costs_nothing_in_all_its_parts() -> None:
    told = entries(CostModel.of("2", 2, 0.92).of_seconds(60), images=10)
    assert [told[name] for name in told if name.startswith("run_cost")] == [0, 0, 0, 0]
    assert told["equivalent_cluster_cost_eur"] > 0


# Estimates

SCALES = [
    ["--images", "10000"],
    ["--images", "1000000"],
    ["--images", "1000000", "--nodes", "4"],
    ["--images", "1000000", "--nodes", "4", "--megapixels", "12"],
    ["--images", "100000000", "--nodes", "4", "--folders", "20000"],
]


def of(images: int, core_nodes: int = 2, **given: Any) -> Estimate:
    """An estimate with the settings' defaults and a node of 0.50 EUR an hour."""
    settings = read_settings(**{name: given.pop(name) for name in list(given) if name in Settings.model_fields})
    return estimate(images, core_nodes, ROUND, settings, **given)


def test_an_estimate_is_the_sum_of_its_parts() -> None:
    told = of(36_000)
    # 8 cores at the measured rate; 72 folders; five steps of 30 s; PCA twice at 160 us.
    assert told.images_per_second == pytest.approx(8 * IMAGES_PER_SECOND_PER_CORE)
    asked = told.requests
    waiting = (asked.lists_in_turn + (asked.gets - 36_000 + asked.puts + asked.lists - asked.lists_in_turn) / 16) * 0.03
    assert told.seconds == pytest.approx(
        {
            "start_up": 420,
            "step_overhead": 150,
            "folders_and_files": waiting + 72 * SECONDS_PER_FOLDER,
            "mobilenet_features": 36_000 / told.images_per_second,
            "pca_model_and_reduced_features": 2 * 36_000 * 1.6e-4 / 8,
            "ending": 60,
        }
    )
    assert told.total_seconds == pytest.approx(sum(told.seconds.values()))
    # Three nodes at 0.50 EUR an hour.
    assert told.cluster_eur == pytest.approx(told.total_seconds * 1.5 / 3600)
    assert told.work_eur == pytest.approx((told.total_seconds - 480) * 1.5 / 3600)
    assert told.requests_eur == pytest.approx(asked.usd * ROUND.usd_to_eur)
    assert told.storage_eur_per_month == pytest.approx(36_000 * 10_720 / 1e9 * 0.024)
    assert (told.sessions, told.parts, told.fits) == (1, 1, True)


def test_requests_are_those_for_photos_for_table_files_and_for_names() -> None:
    asked = requests_of_run(36_000, folders=72, cores=8)
    # A file of raw_images for a folder; of the features one for a folder and one for each of 71 tasks; of the reduced
    # ones one for a folder and one for a core.
    raw, features, reduced = 72, 72 + 71, 72 + 8
    assert asked.files == raw + features + reduced
    assert asked.puts == asked.files
    # Files of 250 features are large: four requests for each reading.
    assert asked.gets == 36_000 + 4 * raw + 6 * 4 * features + 3 * reduced
    assert asked.lists_in_turn == 36 + 3
    assert asked.lists == asked.lists_in_turn + 2 * (72 + 36)
    assert asked.usd == pytest.approx(((asked.puts + asked.lists) * 0.0053 + asked.gets * 0.00042) / 1000)
    # Of few photos a folder, a file of features is small, and comes by one.
    assert requests_of_run(6000, 2000, 8).gets == 6000 + 4 * 2000 + 6 * 2012 + 3 * 2008


@pytest.mark.parametrize("asked_for", SCALES, ids=" ".join)
def test_the_scale_page_says_what_the_command_says(asked_for: list[str]) -> None:
    told = json.loads(CliRunner().invoke(estimate_command, [*asked_for, "--json"]).output)
    page = (PROJECT / "docs" / "scale.md").read_text()
    assert row_of_scale_page(told) in page


def row_of_scale_page(told: dict[str, Any]) -> str:
    asked = told["requests"]
    counts = [f"{asked[name]:,}" for name in ("gets", "puts", "lists")]
    cells = [
        f"{told['images']:,}" + (f" of {told['megapixels']:g} MP" if told["megapixels"] > 1 else ""),
        f"{told['folders']:,}",
        f"1 + {told['nodes'] - 1}",
        f"{told['total_seconds'] / 60:,.0f} min",
        f"{told['sessions']}",
        f"{told['parts']}",
        f"{told['work_eur']:.2f}",
        f"{told['cluster_eur']:.2f}",
        *counts,
        f"{told['requests_eur']:.2f}",
        f"{told['table_gigabytes']:,.2f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def test_ten_thousand_photos_cost_less_than_five_cents_after_start_up() -> None:
    told = estimate(10_000, 2, table_prices(0.92), read_settings())
    assert told.work_eur + told.requests_eur < 0.05


def test_more_nodes_are_faster_and_more_photos_take_longer() -> None:
    assert of(100_000, 4).total_seconds < of(100_000, 2).total_seconds
    sizes = [of(images).total_seconds for images in (1, 1000, 100_000, 1_000_000, 10_000_000)]
    assert all(one < other for one, other in pairwise(sizes))


def test_phone_photos_are_slower_and_the_network_of_a_node_is_a_limit() -> None:
    # 22.2 ms and 11.99 megapixels at 5 ms give 12.2 images/s a core, 97 on 8; 156 MB/s fetch 43.3 of 3.6 MB a node.
    assert of(1000, megapixels=12).images_per_second == pytest.approx(2 * 156 / 3.6)
    assert "limits the rate" in of(1000, megapixels=12).assumptions[1]
    assert of(1000, megapixels=2).images_per_second == pytest.approx(
        8 / (1 / IMAGES_PER_SECOND_PER_CORE + 1.99 * 0.005)
    )


def test_a_rate_that_was_measured_replaces_ours() -> None:
    told = of(1000, images_per_second_per_core=10)
    assert told.images_per_second == 80
    assert told.assumptions[0] == "10 images/s a core, as given"


def test_work_longer_than_the_greatest_age_takes_more_clusters_and_ranges() -> None:
    settings = read_settings()
    told = of(3_000_000, images_per_second_per_core=45)
    # 8,333 s of features, and more for the rest; 6,720 s fit into a cluster.
    assert told.sessions == 2
    assert told.seconds["start_up"] == 2 * 420
    # The network is the longest step: 8,333 s in steps of 3,570 s.
    assert told.parts == 3
    assert told.seconds["step_overhead"] == (2 + 3 * 3) * 30
    text = as_text(told, settings)
    assert "it takes 2 clusters" in text
    assert "3 ranges of about 1,000,000 photos" in text
    # 2 nodes for 8,333 s are 5 for an hour, which is more than there may be; those of 2,000,000 photos are 4.
    assert "core nodes (--core-nodes)" not in text
    assert "With 4 core nodes" in as_text(of(2_000_000, images_per_second_per_core=45), settings)


def test_what_the_platform_does_not_reach_is_said() -> None:
    text = as_text(of(100_000_000, 32), read_settings())
    assert "starts no cluster of this size" in text
    assert "200,000 folders are more partitions than Dagster is good for" in text


def test_the_shortest_age_still_gives_an_answer() -> None:
    told = of(10_000_000, max_age_minutes=15, step_minutes=1)
    assert told.sessions * (15 * 60 - 480) >= sum(told.seconds.values()) - told.sessions * 480


def test_a_budget_below_the_worst_case_does_not_fit() -> None:
    # A cluster of 1 + 4 nodes for 130 minutes could cost 5.42 EUR.
    assert not of(100, budget_eur=5.41).fits
    assert of(100, budget_eur=5.42).fits
    told = as_text(of(100), read_settings())
    assert "5.42 EUR of it must be free, the most that it could cost (1 + 4 nodes for 130 min" in told


def test_the_command_needs_no_aws_and_prints_its_assumptions() -> None:
    result = CliRunner().invoke(estimate_command, ["--images", "10000"])
    assert result.exit_code == 0
    for part in (
        "10,000 photos of 0.01 megapixels in 20 folders on 1 + 2 m5.xlarge",
        "Budget: 10.00 EUR",
        " measured with",
    ):
        assert part in result.output
    assert "as commonly quoted" in result.output


def test_the_command_speaks_json() -> None:
    result = CliRunner().invoke(estimate_command, ["--images", "10000", "--core-nodes", "4", "--json"])
    told = json.loads(result.output)
    assert (told["images"], told["nodes"], told["fits"]) == (10_000, 5, True)
    assert told["total_eur"] == pytest.approx(told["cluster_eur"] + told["requests_eur"])


def test_the_command_names_what_it_has_no_price_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_INSTANCE_TYPE", "g5.xlarge")
    result = CliRunner().invoke(estimate_command, ["--images", "10000"])
    assert result.exit_code == 1
    assert "g5.xlarge" in result.output
    assert "Traceback" not in result.output
