"""What is said of a step that failed: the cause, and what to do."""

import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from fruits_assets.engines.emr.failures import Evidence, explain, explain_error
from fruits_assets.engines.staging import code_zip
from spark_steps import step_main
from spark_steps.step_main import Publisher, check_python, described

HEALTHY: dict[str, Any] = {
    "step": "FAILED",
    "details": {},
    "cluster": "WAITING",
    "cluster_reason": {},
    "error": None,
    "log": "",
}


def evidence(**given: Any) -> Evidence:
    return Evidence(**{**HEALTHY, **given})


def raised(error: BaseException) -> dict[str, Any]:
    try:
        raise error
    except BaseException as caught:
        return described(caught)


def import_error() -> dict[str, Any]:
    try:
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        return described(error)
    raise AssertionError


@pytest.mark.parametrize(
    ("given", "cause", "remedy", "is_transient"),
    [
        ({"error": import_error()}, "no_such_package is not there", "fruits deploy", False),
        ({"log": "ModuleNotFoundError: No module named 'boto3'"}, "boto3 is not there", "fruits deploy", False),
        ({"error": raised(RuntimeError("wrong Python: the step needs 3.11"))}, "wrong Python", "fruits deploy", False),
        (
            {"log": 'java.io.IOException: Cannot run program "/opt/fruits/environment/bin/python": error=2'},
            "environment is missing",
            "fruits deploy",
            False,
        ),
        ({"error": raised(MemoryError("8 GiB"))}, "ran out of memory", "FRUITS_MAX_PHOTO_MEGAPIXELS", False),
        ({"log": "Container killed on request. Exit code is 137"}, "most often for memory", "FRUITS_", True),
        ({"log": "Container killed by YARN for exceeding memory limits"}, "out of memory", "FRUITS_", False),
        ({"log": "java.lang.OutOfMemoryError: Java heap space"}, "memory", "FRUITS_INSTANCE_TYPE", False),
        ({"log": "ExecutorLostFailure (executor 1 exited)"}, "lost executors", "nodes", True),
        ({"error": raised(OSError("SlowDown: Please reduce your request rate"))}, "throttled", "fewer steps", True),
        ({"log": "AmazonS3Exception: Status Code: 403; AccessDenied"}, "denied", "fruits doctor", False),
        ({}, "the driver was lost", "Another attempt", True),
        ({"step": "CANCELLED"}, "was cancelled", "Start the run again", False),
        (
            {"cluster": "TERMINATED_WITH_ERRORS", "cluster_reason": {"Code": "INSTANCE_FAILURE", "Message": "master"}},
            "INSTANCE_FAILURE: master",
            "Another attempt",
            True,
        ),
        ({"cluster": "TERMINATING", "cluster_reason": {"Code": "USER_REQUEST"}}, "terminated", "Start the run", False),
        (
            {"cluster": "TERMINATED_WITH_ERRORS", "cluster_reason": {"Code": "BOOTSTRAP_FAILURE"}},
            "could not be set up",
            "fruits deploy",
            False,
        ),
        (
            {"cluster": "TERMINATED", "cluster_reason": {"Code": "USER_REQUEST"}, "aged": True},
            "greatest age",
            "new",
            True,
        ),
        (
            {
                "cluster": "TERMINATED_WITH_ERRORS",
                "cluster_reason": {"Code": "INSTANCE_FLEET_TIMEOUT"},
                "waiting": True,
            },
            "could not get the cluster's Spot instances",
            "FRUITS_SPOT=false",
            False,
        ),
        ({"log_uri": "s3://b/logs/j-1/s-1/"}, "s3://b/logs/j-1/s-1/", "has not uploaded it yet", True),
        ({"cluster": "TERMINATED", "cluster_reason": {}, "waiting": True}, "before the step's turn", "new one", True),
        ({"error": raised(ValueError("7 is no weight"))}, "ValueError: 7 is no weight", "", False),
    ],
)
def test_each_way_to_fail_has_a_message_of_its_own(
    given: dict[str, Any], cause: str, remedy: str, is_transient: bool
) -> None:
    found = explain(evidence(**given))
    assert cause in found.message
    assert remedy in found.message
    assert found.is_transient is is_transient


def test_what_the_cluster_did_to_a_step_is_told_and_an_error_of_the_steps_own_left_as_it_is() -> None:
    lost = explain_error("Py4JJavaError: Job aborted: ExecutorLostFailure (executor 1 exited)")
    assert lost is not None
    assert lost.is_transient
    memory = explain_error("Container killed by YARN for exceeding physical memory limits")
    assert memory is not None
    assert not memory.is_transient
    assert explain_error("ValueError: 7 is no weight") is None
    assert explain_error("spark_steps.errors.FruitsError: the bucket says AccessDenied. Ask its owner.") is None


def test_the_innermost_cause_is_told_and_not_what_wrapped_it() -> None:
    try:
        try:
            raise KeyError("the reason")
        except KeyError as inner:
            raise RuntimeError("the wrapping") from inner
    except RuntimeError as outer:
        told = described(outer)
    assert told["type"] == "KeyError"
    assert "the wrapping" in told["trace"]


def test_another_python_is_refused_by_name() -> None:
    check_python(f"{sys.version_info.major}.{sys.version_info.minor}")
    with pytest.raises(RuntimeError, match="wrong Python: the step needs 3\\.9"):
        check_python("3.9")


def test_every_event_is_sent_once_and_none_is_lost_when_sending_fails_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_main, "PUBLISH_SECONDS", 0.01)
    sent: list[str] = []
    names: list[str] = []
    failures = iter([True, True] + [False] * 10_000)

    def write(name: str, events: Any) -> None:
        if next(failures):
            raise OSError("not now")
        names.append(name)
        sent.extend(json.loads(json.dumps(events)))

    publisher = Publisher(write)
    for number in range(500):
        publisher.put(str(number))
    publisher.close()
    assert sent == [str(number) for number in range(500)]
    assert names == [f"events/{number:06}.json" for number in range(1, len(names) + 1)]


def test_a_file_whose_answer_was_lost_is_sent_again_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_main, "PUBLISH_SECONDS", 0.01)
    files: dict[str, list[str]] = {}
    answers = iter([False] + [True] * 100)

    def write(name: str, events: Any) -> None:
        assert files.setdefault(name, list(events)) == list(events)
        if not next(answers):
            publisher.put("newer")
            raise OSError("the answer is lost")

    publisher = Publisher(write)
    publisher.put("first")
    publisher.close()
    assert files == {"events/000001.json": ["first"], "events/000002.json": ["newer"]}


def test_the_code_that_travels_is_the_two_packages_and_runs_from_the_zip(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(code_zip())
    names = zipfile.ZipFile(BytesIO(archive.read_bytes())).namelist()
    assert {name.split("/")[0] for name in names} == {"fruits_assets", "spark_steps"}
    assert {Path(name).suffix for name in names} <= {".py", ".yaml", ".properties"}
    assert "spark_steps/features/mobilenet.py" in names
    assert "fruits_assets/engines/remote.py" in names
    program = "import fruits_assets.engines.staging as s, spark_steps.pca.model as p; print(s.__file__, p.__file__)"
    # -P and an empty directory: nothing of the checkout is in reach.
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); {program}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.count("code.zip") == 2
