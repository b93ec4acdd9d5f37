"""What runs will cost, and how long they take."""

import json
from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner

from fruits_assets.commands.aws.estimate import as_text, estimate_command
from fruits_assets.money.costs import EuroRate
from fruits_assets.money.estimate import IMAGES_PER_SECOND_PER_CORE, SECONDS_PER_FOLDER, Estimate, estimate
from fruits_assets.money.prices import (
    table_prices,
)
from fruits_assets.money.s3_requests import requests_of_run
from fruits_assets.settings import Settings, read_settings
from tests.support.aws.money import ROUND
from tests.support.project import PROJECT

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
    assert told.requests_eur == pytest.approx(asked.usd * ROUND.rate.eur_per_usd)
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


def test_ten_thousand_photos_cost_less_than_five_cents_after_start_up_and_before_vat() -> None:
    told = estimate(10_000, 2, table_prices(EuroRate(0.92, 0.0)), read_settings())
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
    engines = [line.split()[0] for line in result.output.partition("By engine")[2].splitlines()[2:] if line.strip()]
    assert engines[:4] == ["emr", "emr-serverless", "glue", "databricks"]


def test_the_command_speaks_json() -> None:
    result = CliRunner().invoke(estimate_command, ["--images", "10000", "--core-nodes", "4", "--json"])
    told = json.loads(result.output)
    assert (told["images"], told["nodes"], told["fits"]) == (10_000, 5, True)
    assert told["total_eur"] == pytest.approx(told["cluster_eur"] + told["requests_eur"])
    assert told["glue"]["jobs"] == told["emr_serverless"]["jobs"] == told["databricks"]["jobs"] == 5


def test_the_command_names_what_it_has_no_price_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_INSTANCE_TYPE", "g5.xlarge")
    result = CliRunner().invoke(estimate_command, ["--images", "10000"])
    assert result.exit_code == 1
    assert "g5.xlarge" in result.output
    assert "Traceback" not in result.output
