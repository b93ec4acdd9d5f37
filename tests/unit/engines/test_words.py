"""What all engines share knows none of them."""

import re
from pathlib import Path

import pytest

from fruits_assets.engines.step_failures import Evidence, Words, explain, explain_error, is_unnamed_denial
from tests.support.project import PROJECT

OF_ONE_ENGINE = re.compile(r"\bemr|emr\b|emr_|yarn|cluster|serverless|glue|databricks|dataproc", re.IGNORECASE)
SHARED = sorted((PROJECT / "fruits_assets" / "engines").glob("*.py"))
# Clusters are what the platform began with, so that word is everywhere.
OF_A_SERVICE = re.compile(r"\bemr\b|emr_|serverless|glue|\bdpus?\b|databricks|dataproc", re.IGNORECASE)
# Where an engine may be named besides its own folder: what is billed, what the stack makes, and the commands that make,
# check, price and list that. In all other rooms nothing may depend on where a step runs.
NAMED = ("engines/", "settings/", "money/", "aws/", "commands/aws/")
# Words that are one engine's alone, and the folders that are its own. Beside them no file of an engine may have them.
OWN_WORDS = {
    "emr-serverless": (re.compile(r"serverless", re.IGNORECASE), ("engines/emr_serverless/", "money/jobs/")),
    "glue": (re.compile(r"glue|\bdpus?\b", re.IGNORECASE), ("engines/glue/", "money/dpus/")),
    "databricks": (re.compile(r"databricks|\bdbus?\b", re.IGNORECASE), ("engines/databricks/", "money/dbus/")),
}


@pytest.mark.parametrize("source", SHARED, ids=lambda source: str(source.name))
def test_what_all_engines_share_has_no_word_of_one(source: Path) -> None:
    lines = source.read_text().splitlines()
    assert [line for line in lines if OF_ONE_ENGINE.search(line)] == []


def test_a_word_of_an_engine_is_seen_wherever_it_stands() -> None:
    assert len(SHARED) > 8
    for line in ("from x import EmrEngine", "EMR says", 'name="emr_console"', "a Cluster", "YARN", "emr-serverless"):
        assert OF_ONE_ENGINE.search(line), line


def elsewhere() -> list[Path]:
    """Returns the sources in which no engine may be named."""
    package = PROJECT / "fruits_assets"
    files = [file for file in package.rglob("*.py") if not str(file.relative_to(package)).startswith(NAMED)]
    return sorted([*files, *(PROJECT / "spark_steps").rglob("*.py")])


def named_in(text: str, words: re.Pattern[str] = OF_A_SERVICE) -> list[str]:
    """Returns the lines that name a service."""
    return [line for line in text.splitlines() if words.search(line)]


def test_no_room_besides_those_of_engines_money_and_the_stack_names_a_service() -> None:
    files = elsewhere()
    assert len(files) > 150
    assert {str(file): named_in(file.read_text()) for file in files if named_in(file.read_text())} == {}


def test_no_folder_of_an_engine_has_a_word_of_another() -> None:
    package = PROJECT / "fruits_assets"
    own = {folder for _, folders in OWN_WORDS.values() for folder in folders} | {"engines/emr/"}
    found: dict[tuple[str, str], list[str]] = {}
    for deployment, (words, folders) in OWN_WORDS.items():
        files = [file for folder in own - set(folders) for file in (package / folder).glob("*.py")]
        assert len(files) > 10
        assert any(named_in(file.read_text(), words) for folder in folders for file in (package / folder).glob("*.py"))
        found |= {(deployment, str(file)): named for file in files if (named := named_in(file.read_text(), words))}
    assert found == {}


def test_each_engine_with_a_folder_has_words_that_are_watched() -> None:
    folders = {file.parent.name for file in (PROJECT / "fruits_assets" / "engines").glob("*/entry.py")}
    assert folders == {"emr", *(deployment.replace("-", "_") for deployment in OWN_WORDS)}


def test_a_service_that_is_named_is_seen() -> None:
    for line in ('if settings.deployment == "glue":', "# EMR Serverless needs it", 'deployment="emr"', "a DPU-hour"):
        assert named_in(line) != [], line
    assert named_in("a number of dpuses, and a memrise") == []


def test_the_same_failure_is_told_in_the_words_of_each_engine() -> None:
    words = Words(place="on the moon", larger="or fly higher", role="the pilot's role")
    module = explain(Evidence(None, "ModuleNotFoundError: No module named 'boto3'", words=words))
    assert "an import failed on the moon: boto3 is not there" in module.message
    memory = explain_error("java.lang.OutOfMemoryError: Java heap space", words)
    assert memory is not None
    assert "or fly higher" in memory.message
    denied = explain(Evidence(None, "AmazonS3Exception: Status Code: 403; AccessDenied", words=words))
    assert "AWS denied something to the pilot's role" in denied.message


def test_a_denial_names_the_action_and_the_engines_role_and_shows_no_lines_of_a_trace() -> None:
    words = Words(role="the pilot's role")
    log = "Traceback:\nbotocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation"
    denied = explain(Evidence(None, log, words=words, log_uri="s3://b/logs/"))
    assert denied.message.startswith("AWS denies access: the pilot's role lacks s3:GetObject. Check AWS_PROFILE;")
    assert denied.message.endswith(" Its log: s3://b/logs/.")


def test_a_steps_own_sentence_goes_before_what_its_trace_holds() -> None:
    error = {"is_ours": True, "type": "FruitsError", "message": "S3 was slow. Wait.", "trace": "ClientError: SlowDown"}
    found = explain(Evidence(error, "", log_uri="s3://b/logs/"))
    assert found.message == "S3 was slow. Wait. Its log: s3://b/logs/."
    # What caused it tells that another attempt may succeed.
    assert not found.is_transient
    slow = explain(Evidence(error, "botocore.exceptions.ClientError: SlowDown"))
    assert slow.is_transient


def test_a_denial_that_does_not_say_what_is_denied_leaves_that_to_the_log() -> None:
    caused = "Caused by: AmazonS3Exception: Error (Service: Amazon S3; Status Code: 403; Error Code: 403 Error)"
    assert is_unnamed_denial(caused)
    named = "AccessDeniedException: s3://b/steps/a b/code.zip: getFileStatus on s3://b/steps/a b/code.zip"
    assert not is_unnamed_denial(f"{named}\n{caused}")
    assert not is_unnamed_denial("ValueError: 403 is no weight")
