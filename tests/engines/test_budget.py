"""The budget before each start, on each engine: refused before anything is created, and one for all stacks."""

import threading
from datetime import UTC, datetime

import dagster as dg
import pytest

from fruits_assets.engines.engine import Engine, JobRef, JobRequest
from fruits_assets.engines.registry import entry_of
from fruits_assets.money.account import account_spend
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from tests.emr_emulator import Emulator
from tests.emr_emulator.stack import stage_environment
from tests.support.aws.emr_runs import failure_of, in_background
from tests.support.aws.engines import Bench, empty_request
from tests.support.project import PROJECT

COLLEAGUES = "colleagues"


@pytest.fixture(scope="module")
def second_stack(aws: Emulator) -> str:
    """The name of another stack of the account."""
    cloudformation, template = aws.client("cloudformation"), (PROJECT / "infra" / "fruits.yaml").read_text()
    cloudformation.create_stack(StackName=COLLEAGUES, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"])
    (stack,) = cloudformation.describe_stacks(StackName=COLLEAGUES)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    stage_environment(aws.client("s3"), outputs["StagingBucket"])
    return COLLEAGUES


def test_a_budget_that_does_not_fit_refuses_before_anything_is_created(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    before = engine.created()
    told = failure_of(engine.materialize(settings.model_copy(update={"budget_eur": 0.01}), instance))
    assert f"{engine.refusal}: the budget of 0.01 EUR" in told
    assert engine.created() == before


@pytest.mark.usefixtures("without_spark")
def test_of_two_stacks_that_start_at_once_with_a_budget_for_one_the_other_is_refused_and_what_runs_counts(
    engine: Bench, settings: Settings, second_stack: str
) -> None:
    spent = account_spend(settings, read_prices(settings), datetime.now(UTC)).total_eur
    make = entry_of(engine.deployment).make_engine
    worst = make(settings).worst_case_eur()
    budget = {"budget_eur": spent + 1.5 * worst}
    given = [settings.model_copy(update={**budget, "stack": stack}) for stack in (settings.stack, second_stack)]
    for one in given:
        engine.prepare(one)
    engines = [make(one) for one in given]
    requests = [empty_request(one, own, own.stack) for one, own in zip(engines, given, strict=True)]
    before, started, refused = engine.created(), list[JobRef](), list[str]()
    together = threading.Barrier(2)

    def submit(there: Engine, request: JobRequest) -> None:
        together.wait()
        try:
            started.append(there.submit(request, lambda _: None))
        except FruitsError as error:
            refused.append(str(error))

    def start(there: Engine, request: JobRequest) -> threading.Thread:
        return in_background(lambda: submit(there, request))

    for thread in [start(*one) for one in zip(engines, requests, strict=True)]:
        thread.join(120)
    assert engine.created() == before + 1
    assert len(started) == 1
    (told,) = refused
    assert told.startswith(f"{engine.refusal}: the budget of {budget['budget_eur']:.2f} EUR")
    assert "that 1 running" in told
    # The one that was started goes on, and a request for it that is sent again is no second one.
    (first,) = [
        number for number, one in enumerate(engines) if any(job.ref == started[0] for job in one.unfinished_jobs())
    ]
    assert engines[first].submit(requests[first], lambda _: None) == started[0]
    engines[first].cancel(started[0])
