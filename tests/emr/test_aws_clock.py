"""The time by the clock of AWS, where this machine's is wrong."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import time_machine
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import explain
from fruits_assets.money.spend import month_start
from tests.support.project import PROJECT

ANSWER = b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that asks AWS for something, whose clock says a given time."""
    monkeypatch.setattr(clock, "_ahead", timedelta(0))
    sts: Any = boto3.client("sts", "eu-west-3", aws_access_key_id="key", aws_secret_access_key="secret")  # noqa: S106
    clock.follow(sts)
    told: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        headers = HTTPHeaders()
        headers["Date"] = told[-1]
        return AWSResponse(request.url, 200, headers, SimpleNamespace(stream=lambda: [ANSWER]))

    sts.meta.events.register("before-send.sts", answer)

    def ask(moment: datetime) -> None:
        told.append(format_datetime(moment, usegmt=True))
        sts.get_caller_identity()

    return ask


@pytest.mark.parametrize("hours", [1, -1])
def test_the_month_is_that_of_aws_on_a_machine_whose_clock_is_an_hour_wrong(asked: Any, hours: int) -> None:
    right = datetime(2026, 11, 30, 23, 30, tzinfo=UTC) if hours > 0 else datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    with time_machine.travel(right + timedelta(hours=hours), tick=False):
        assert month_start(clock.now()).month == (12 if hours > 0 else 10)
        asked(right)
        assert clock.now() == right
        assert month_start(clock.now()) == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_clock_that_is_set_right_is_right_after_the_next_answer(asked: Any) -> None:
    right = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with time_machine.travel(right + timedelta(hours=1), tick=False):
        asked(right)
    with time_machine.travel(right, tick=False):
        asked(right)
        assert clock.now() == right


def test_seconds_that_an_answer_takes_do_not_move_the_clock(asked: Any) -> None:
    with time_machine.travel(datetime(2026, 11, 20, 12, 0, 8, tzinfo=UTC), tick=False):
        asked(datetime(2026, 11, 20, 12, tzinfo=UTC))
        assert clock.now() == datetime(2026, 11, 20, 12, 0, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 20261127T150000Z is now earlier than 20261127T155500Z"),
        ("InvalidSignatureException", "Signature not yet current: 20261127T170000Z is still later than 20261127T1605Z"),
    ],
)
def test_a_clock_that_aws_refuses_is_told_as_such_and_not_as_unknown_credentials(code: str, message: str) -> None:
    refused = ClientError({"Error": {"Code": code, "Message": message}}, "RunJobFlow")
    told = explain(refused, "create a cluster")
    assert told.startswith("This machine's clock is wrong, so AWS refused to create a cluster")
    assert "Set the clock, and do it again." in told


def test_whatever_is_compared_with_times_of_aws_asks_the_clock_of_aws() -> None:
    rooms = ("engines", "money", "commands/aws")
    files = [file for room in rooms for file in (PROJECT / "fruits_assets" / room).rglob("*.py")]
    assert len(files) > 40
    # Runs of Dagster have the times of this machine.
    of_this_machine = {PROJECT / "fruits_assets" / "engines" / "in_flight.py"}
    own = re.compile(r"datetime\.now\(|time\.time\(\)|utcnow\(")
    assert {file for file in files if own.search(file.read_text())} == of_this_machine
