"""Locations that clusters can reach, and those that they cannot."""

import pytest

from fruits_assets.commands.aws.doctor import check_places
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError


def in_bucket(**places: str) -> Settings:
    """Settings of the emr deployment with the data bucket ``data``."""
    return read_settings(**{"deployment": "emr", "images": "s3://data/Test", "store": "s3://data", **places})


def test_photos_and_weights_anywhere_in_the_data_bucket_are_fine() -> None:
    check_places(in_bucket(), "data")
    check_places(in_bucket(images="s3://data/of/2026/", store="s3://data/", weights="s3://data/a/network.h5"), "data")
    check_places(in_bucket(images="s3://data", weights="/here/network.h5"), "data")


@pytest.mark.parametrize("store", ["s3://data/experiment", "s3://data/Results", "s3://data-of-others", "s3://other"])
def test_a_store_that_the_roles_may_not_write_is_refused_with_the_remedy(store: str) -> None:
    with pytest.raises(FruitsError, match=rf"{store}, .* below s3://data/Results and .*FRUITS_STORE=s3://data,"):
        check_places(in_bucket(store=store), "data")


@pytest.mark.parametrize("images", ["s3://other/Test", "s3://data-of-others/Test"])
def test_photos_that_the_nodes_may_not_read_are_refused_with_the_remedy(images: str) -> None:
    with pytest.raises(FruitsError, match=rf"{images}, .*below s3://data/Test .*the roles of the nodes"):
        check_places(in_bucket(images=images), "data")


def test_weights_of_another_bucket_are_refused_with_the_remedy() -> None:
    with pytest.raises(FruitsError, match=r"The weights lie in s3://other/network.h5, .*FRUITS_WEIGHTS"):
        check_places(in_bucket(weights="s3://other/network.h5"), "data")
