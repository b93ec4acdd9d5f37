"""What a command says when it cannot go on."""

import getpass
import os
import sqlite3
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from fruits_assets.instance.failures import readable
from fruits_assets.terminal.problems import disk_is_full, message_of, reports_problems
from spark_steps.errors import FruitsError


@click.command()
@reports_problems
def _fills_a_disk() -> None:
    with Path("/dev/full").open("w") as disk:
        disk.write("x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_is_one_sentence_with_the_remedy() -> None:
    said = CliRunner().invoke(_fills_a_disk)
    assert said.exit_code == 1
    assert "A disk is full" in said.output
    assert "Make room, and run again." in said.output


def test_a_full_disk_is_known_by_the_cause_of_an_error_and_other_errors_are_not_taken_for_it() -> None:
    wrapped = ValueError("a run could not be kept")
    wrapped.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert "database or disk is full" in str(disk_is_full(wrapped))
    assert disk_is_full(sqlite3.OperationalError("no such table: runs")) is None
    assert disk_is_full(FileNotFoundError(2, "no such file")) is None


def test_what_the_system_refuses_names_the_file_and_other_errors_keep_their_trace(tmp_path: Path) -> None:
    assert message_of(PermissionError(13, "Permission denied", "/store")) == (
        f"Permission denied: /store. The user {getpass.getuser()} may not do that there: check the path, its owner and "
        "its mode (ls -ld)."
    )
    assert message_of(NotADirectoryError(20, "Not a directory", "/store")) == (
        "Not a directory: /store. Check the path, and whether you may write there."
    )
    assert message_of(ValueError("a mistake of ours")) is None
    assert message_of(ConnectionError("a connection that broke")) is None


def test_a_damaged_file_of_the_store_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "part.parquet").write_bytes(b"no Parquet")
    with pytest.raises(pa.ArrowInvalid) as raised:
        pq.read_table(tmp_path / "part.parquet")
    told = message_of(raised.value)
    assert told is not None
    assert readable(f"pyarrow.lib.ArrowInvalid: {raised.value}") == told
    assert readable("Task 3 failed: java.lang.RuntimeException: file:/a b.parquet is not a Parquet file").startswith(
        "/a b.parquet is not a Parquet file. Put the file back"
    )
    assert told.endswith("or delete it and run again, and what it held is made again.")


def test_the_platforms_sentence_is_shown_and_not_that_of_what_wrapped_it_or_caused_it() -> None:
    wrapped = ValueError("an error of Dagster's")
    wrapped.__cause__ = FruitsError("There is no bucket b. Check its name.")
    wrapped.__cause__.__cause__ = PermissionError(13, "Permission denied", "/store")
    assert message_of(wrapped) == "There is no bucket b. Check its name."


@click.command()
@click.option("--json", "as_json", is_flag=True)
@reports_problems
def _is_denied(as_json: bool) -> None:
    said = "User: arn:aws:iam::1:role/fruits-launcher is not authorized to perform: pricing:GetProducts on resource: *"
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, "GetProducts")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_denial_that_nobody_has_translated_is_one_sentence_and_standard_output_stays_empty(
    options: list[str],
) -> None:
    done = CliRunner().invoke(_is_denied, options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: AWS denies access: the role fruits-launcher lacks pricing:GetProducts on *. Check AWS_PROFILE; fruits "
        "doctor shows which permissions the stack's roles lack, and what gives them back.\n"
    )


@pytest.mark.parametrize(
    "message",
    [
        "PermissionError: [Errno 13] Permission denied: '/store/a b'",
        "pyspark.errors.PythonException: \n  File x\nPermissionError: [Errno 13] Permission denied: '/store/a b'\n",
        "org.apache.spark.SparkException: Job aborted\nCaused by: java.nio.file.AccessDeniedException: /store/a b",
        "java.io.FileNotFoundException: /store/a b (Permission denied)",
    ],
)
def test_a_file_that_the_system_denies_is_named_whatever_spark_has_made_of_it(message: str) -> None:
    assert readable(message) == (
        f"Permission denied: /store/a b. The user {getpass.getuser()} may not do that there: check the path, its owner "
        "and its mode (ls -ld)."
    )


def test_what_the_system_says_within_a_run_has_the_same_remedies() -> None:
    full = "OSError: [Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"
    assert readable(full).startswith(
        "A disk is full, of the store, of DAGSTER_HOME or of /tmp: [Errno 28] Error writing"
    )
    refused = "NotADirectoryError: [Errno 20] Cannot create directory '/a/b'. Detail: [errno 20] Not a directory"
    assert readable(refused).endswith("Not a directory. Check the path, and whether you may write there.")


@pytest.mark.parametrize(
    "message",
    [
        "ConnectionRefusedError: [Errno 111] Connection refused\n",
        "py4j.protocol.Py4JNetworkError: Answer from Java side is empty\n",
    ],
)
def test_a_java_process_that_has_ended_is_told_as_such(message: str) -> None:
    assert readable(message).startswith("Spark's Java process has ended under way; most often the system has killed it")
