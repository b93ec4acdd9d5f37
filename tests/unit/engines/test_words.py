"""What all engines share knows none of them."""

import re
from pathlib import Path

import pytest

from fruits_assets.engines.step_failures import Evidence, Words, explain, explain_error
from tests.support.project import PROJECT

OF_ONE_ENGINE = re.compile(r"\bemr|emr\b|emr_|yarn|cluster|serverless|glue|databricks|dataproc", re.IGNORECASE)
SHARED = sorted((PROJECT / "fruits_assets" / "engines").glob("*.py"))


@pytest.mark.parametrize("source", SHARED, ids=lambda source: str(source.name))
def test_what_all_engines_share_has_no_word_of_one(source: Path) -> None:
    lines = source.read_text().splitlines()
    assert [line for line in lines if OF_ONE_ENGINE.search(line)] == []


def test_a_word_of_an_engine_is_seen_wherever_it_stands() -> None:
    assert len(SHARED) > 8
    for line in ("from x import EmrEngine", "EMR says", 'name="emr_console"', "a Cluster", "YARN", "emr-serverless"):
        assert OF_ONE_ENGINE.search(line), line


def test_the_same_failure_is_told_in_the_words_of_each_engine() -> None:
    words = Words(place="on the moon", larger="or fly higher", role="the pilot's role")
    module = explain(Evidence(None, "ModuleNotFoundError: No module named 'boto3'", words=words))
    assert "an import failed on the moon: boto3 is not there" in module.message
    memory = explain_error("java.lang.OutOfMemoryError: Java heap space", words)
    assert memory is not None
    assert "or fly higher" in memory.message
    denied = explain(Evidence(None, "AmazonS3Exception: Status Code: 403; AccessDenied", words=words))
    assert "AWS denied something to the pilot's role" in denied.message
