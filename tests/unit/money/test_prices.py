"""Prices of AWS: found in its answers, or in a table, and added up by hand."""

import json

import pytest

from fruits_assets.money.prices import (
    ebs_gigabytes,
    highest_usd,
    read_prices,
    table_prices,
)
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.money import RATE, ROUND, TABLE_NODE


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
    assert table_prices(RATE).node_hour_eur("m5.xlarge") == pytest.approx(TABLE_NODE)
    assert pytest.approx(0.3196, abs=1e-4) == TABLE_NODE


def test_the_disks_of_a_node_follow_its_size() -> None:
    sizes = ("m5.large", "m5.xlarge", "m5.2xlarge", "m5.4xlarge", "r5.24xlarge", "m5.metal")
    assert [ebs_gigabytes(size) for size in sizes] == [47, 79, 143, 271, 1551, 1551]


def test_a_type_that_is_not_in_the_table_is_named_with_the_remedy() -> None:
    with pytest.raises(FruitsError, match=r"g5\.xlarge.*pricing:GetProducts"):
        table_prices(RATE).node_hour_eur("g5.xlarge")
    with pytest.raises(FruitsError, match=r"g5\.xlarge.*pricing:GetProducts"):
        table_prices(RATE).including({"m5.xlarge", "g5.xlarge"})


def test_without_credentials_the_table_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert "NoCredentialsError" in read_prices(read_settings()).computed_from


def test_the_table_of_another_region_says_whose_prices_they_are() -> None:
    assert "those of eu-west-3" in table_prices(RATE, "eu-central-1").computed_from
    assert "those of" not in table_prices(RATE).computed_from
