"""Where S3 is: the variables, and the profile of the AWS command."""

from pathlib import Path

import pytest

from spark_steps.storage.s3_address import endpoint

CONFIG = """
[default]
region = eu-west-3

[profile garage]
services = ours

[profile everything]
endpoint_url = http://everything:9000

[services ours]
s3 =
  endpoint_url = http://garage:3900
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"AWS_PROFILE": "garage"}, "http://garage:3900"),
        ({"AWS_PROFILE": "everything"}, "http://everything:9000"),
        ({"AWS_PROFILE": "missing"}, None),
        ({"AWS_PROFILE": "garage", "AWS_ENDPOINT_URL": "http://here:5000"}, "http://here:5000"),
        ({"AWS_ENDPOINT_URL": "http://here:5000", "AWS_ENDPOINT_URL_S3": "http://s3:1"}, "http://s3:1"),
        ({"AWS_PROFILE": "garage", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
    ],
)
def test_an_s3_of_ones_own_is_found_where_boto3_finds_it(
    environment: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert endpoint() == found
