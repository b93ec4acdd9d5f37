"""Steps of the emulator: run, failed, cancelled and listed as on EMR."""

import json
from typing import Any

from tests.emr_emulator import processes
from tests.support.aws.emulated import Account, refused, shell, step, until


def test_a_step_runs_on_two_executors_with_a_broadcast_and_reads_and_writes_s3(account: Account, cluster: str) -> None:
    python = "/opt/fruits/environment/bin/python"
    args = ["/usr/lib/spark/bin/spark-submit", "--master", "yarn", "--deploy-mode", "client"]
    args += ["--conf", f"spark.pyspark.python={python}", "--conf", f"spark.pyspark.driver.python={python}"]
    args += ["--conf", "spark.executor.memory=9g", "--py-files", "s3://emulated/steps/code.zip"]
    (step_id,) = account.add(cluster, step(*args, "s3://emulated/steps/main.py"))
    # A lost Python worker is Spark's to repair: its task runs again.
    assert until(lambda: account.emulator.kill_step(step_id, "python"), 90)
    status = account.wait_step(cluster, step_id, "COMPLETED", "FAILED")
    stdout, stderr = account.log(cluster, step_id, "stdout"), account.log(cluster, step_id, "stderr")
    assert status["State"] == "COMPLETED", stdout + stderr[-3000:]
    found = account.s3.list_objects_v2(Bucket="emulated", Prefix="Results/rows/part-")["Contents"]
    lines = [line for one in found for line in _lines(account, one["Key"])]
    assert len(lines) == 4
    assert len({line["executor"] for line in lines}) == 2
    assert {(line["size"], line["answer"]) for line in lines} == {(9_000_000, 42)}
    # What the step needs must come with it: neither this project nor the tester's settings are there.
    assert "project None None" in stdout
    assert "settings []" in stdout
    # The arguments are kept as they were given.
    assert account.emulator.state()["clusters"][cluster]["steps"][step_id]["args"][:3] == args[:3]


def _lines(account: Account, key: str) -> list[dict[str, Any]]:
    content = account.s3.get_object(Bucket="emulated", Key=key)["Body"].read().decode()
    return [json.loads(line) for line in content.splitlines()]


def test_a_step_with_a_killed_driver_fails(account: Account, cluster: str) -> None:
    (step_id,) = account.add(cluster, shell("sleep 100"))
    account.wait_step(cluster, step_id, "RUNNING")
    until(lambda: account.emulator.kill_step(step_id, "driver"))
    assert account.wait_step(cluster, step_id, "FAILED", "COMPLETED")["State"] == "FAILED"


def test_a_failed_step_says_why_and_where_its_log_is(account: Account, cluster: str) -> None:
    command = "echo out; echo 'java.lang.OutOfMemoryError: Java heap space' >&2; exit 3"
    (step_id,) = account.add(cluster, shell(command))
    status = account.wait_step(cluster, step_id, "FAILED")
    assert status["FailureDetails"] == {
        "Reason": "Unknown Error",
        "Message": "java.lang.OutOfMemoryError: Java heap space",
        "LogFile": f"s3://emulated/logs/{cluster}/steps/{step_id}/stderr.gz",
    }
    assert account.log(cluster, step_id, "stdout") == "out\n"
    assert "exit code 3" in account.log(cluster, step_id, "controller")
    assert status["Timeline"]["EndDateTime"] >= status["Timeline"]["StartDateTime"]


def test_running_and_pending_steps_are_cancelled_with_their_processes(account: Account, cluster: str) -> None:
    endless = "trap '' TERM; while true; do sleep 1000 & wait; done"
    ids = account.add(cluster, shell(endless, "a"), shell(endless, "b"), shell("true", "c"))
    for step_id in ids[:2]:
        account.wait_step(cluster, step_id, "RUNNING")
    assert account.step_status(cluster, ids[2])["State"] == "PENDING"
    answers = account.emr.cancel_steps(ClusterId=cluster, StepIds=ids, StepCancellationOption="TERMINATE_PROCESS")[
        "CancelStepsInfoList"
    ]
    assert [one["Status"] for one in answers] == ["SUBMITTED"] * 3
    for step_id in ids:
        account.wait_step(cluster, step_id, "CANCELLED")
        mine = {processes.CLUSTER: cluster, processes.STEP: step_id}
        until(lambda marks=mine: not processes.living(marks))  # type: ignore[misc]
    again = account.emr.cancel_steps(ClusterId=cluster, StepIds=ids[:1])["CancelStepsInfoList"]
    assert again[0]["Status"] == "FAILED"


def test_steps_are_listed_newest_first_in_pages(account: Account, cluster: str) -> None:
    ids = account.add(cluster, *[shell("true", str(number)) for number in range(12)])
    pages = list(account.emr.get_paginator("list_steps").paginate(ClusterId=cluster))
    assert len(pages) > 1
    assert [one["Id"] for page in pages for one in page["Steps"]][:12] == ids[::-1]
    for step_id in ids:
        account.wait_step(cluster, step_id, "COMPLETED")


def test_arguments_beyond_10240_characters_and_a_257th_step_are_refused(account: Account, cluster: str) -> None:
    with refused("ValidationException", "10240"):
        account.add(cluster, step("bash", "-c", "x" * 10_235))
    with refused("ValidationException", "256"):
        account.add(cluster, *[shell("true") for _ in range(257)])
    with refused("ValidationException", "StepConcurrencyLevel"):
        account.add(cluster, {**shell("true"), "ActionOnFailure": "CANCEL_AND_WAIT"})
