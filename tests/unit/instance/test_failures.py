"""How a failure is told: its sentence first, and after it the stack trace and the cause."""

import ast
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from fruits_assets.assets import ALL_ASSETS
from fruits_assets.assets.audit_checks import ALL_AUDIT_CHECKS
from fruits_assets.assets.checks import ALL_CHECKS
from fruits_assets.assets.io_managers import FolderTableIOManager, MobileNetModelIOManager, PcaModelIOManager
from fruits_assets.instance.failures import own_sentence, reason, reports_failures
from fruits_assets.jobs.jobs import ALL_JOBS
from spark_steps.errors import FruitsError
from tests.support.project import PROJECT

SENTENCE = "There is no bucket b. Check its name."


@reports_failures
def denied() -> None:
    try:
        raise OSError("An error occurred (NoSuchBucket)")
    except OSError as error:
        raise FruitsError(SENTENCE) from error


@reports_failures
def denied_under_way() -> Iterator[int]:
    yield 1
    denied()


@reports_failures
def in_a_worker() -> None:
    raise RuntimeError(f"Job aborted.\n  File a\nspark_steps.errors.FruitsError: {SENTENCE}\n  File b")


def ran(function: object) -> tuple[dg.ExecuteInProcessResult, str, list[str]]:
    """Returns the result of an op, and what the UI shows of its failure: the first message, and those of its causes."""
    job = dg.GraphDefinition("g", node_defs=[dg.op(name="o")(lambda: function())]).to_job()  # type: ignore[operator]
    result = job.execute_in_process(raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    causes, cause = [], error.cause
    while cause:
        causes.append(cause.message)
        cause = cause.cause
    return result, error.message, causes


def test_the_ui_shows_the_sentence_first_and_then_the_cause() -> None:
    result, message, causes = ran(denied)
    assert message == f"Failure: {SENTENCE}\n"
    assert causes == ["OSError: An error occurred (NoSuchBucket)\n"]
    assert reason(result.all_events) == SENTENCE


def test_the_stack_trace_leads_to_where_the_error_was_raised() -> None:
    with pytest.raises(dg.Failure) as raised:
        denied()
    assert traceback.extract_tb(raised.value.__traceback__)[-1].line == "raise FruitsError(SENTENCE) from error"


def test_a_sentence_of_one_of_sparks_workers_is_one_too() -> None:
    result, message, _ = ran(in_a_worker)
    assert message == f"Failure: {SENTENCE}\n"
    assert reason(result.all_events) == SENTENCE


def test_a_generator_fails_in_a_sentence_after_what_it_has_yielded() -> None:
    yielded = denied_under_way()
    assert next(yielded) == 1
    with pytest.raises(dg.Failure, match="There is no bucket b"):
        next(yielded)


def test_an_error_of_others_stays_what_it_is() -> None:
    def broken() -> None:
        raise ValueError("no sentence")

    with pytest.raises(ValueError, match="no sentence"):
        reports_failures(broken)()
    result, _, _ = ran(broken)
    assert reason(result.all_events) == "ValueError: no sentence"


SAID = (
    "User: arn:aws:iam::1:role/fruits-node is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::d/a b"
)
DENIED = "AWS denies access: the role fruits-node lacks s3:PutObject on arn:aws:s3:::d/a b. Check AWS_PROFILE; "


def test_a_denial_that_nobody_has_translated_is_a_sentence_with_what_is_denied_in_the_failures_metadata() -> None:
    @reports_failures
    def writes() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": SAID}}, "PutObject")

    result, message, _ = ran(writes)
    assert message.startswith(f"Failure: {DENIED}")
    assert reason(result.all_events).startswith(DENIED)
    (failed,) = result.get_step_failure_events()
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert told.metadata == {
        "denied_action": dg.MetadataValue.text("s3:PutObject"),
        "denied_on": dg.MetadataValue.text("arn:aws:s3:::d/a b"),
        "denied_to": dg.MetadataValue.text("the role fruits-node"),
    }


@pytest.mark.parametrize(
    "before", ["botocore.exceptions.ClientError: ", "Py4JJavaError: An error\n: a.SparkException: "]
)
def test_a_denial_below_an_op_that_translates_nothing_is_a_sentence_too(before: str) -> None:
    def writes() -> None:
        raise RuntimeError(f"{before}An error occurred (AccessDenied) when calling the PutObject operation: {SAID}")

    result, _, _ = ran(writes)
    assert reason(result.all_events).startswith(DENIED)


def test_a_request_for_another_attempt_stays_one() -> None:
    @reports_failures
    def asks() -> None:
        raise dg.RetryRequested(1) from FruitsError(SENTENCE)

    with pytest.raises(dg.RetryRequested):
        asks()


# A step launcher raises the Failure itself, so that Dagster takes no description from it.
@pytest.mark.parametrize("raised", [denied.__wrapped__, denied], ids=["FruitsError", "Failure"])  # type: ignore[attr-defined]
def test_an_error_outside_of_any_op_is_told_by_its_sentence_and_not_by_its_cause(raised: Callable[[], None]) -> None:
    @dg.resource
    def bucket(_: dg.InitResourceContext) -> None:
        raised()

    job = dg.GraphDefinition("g", node_defs=[dg.op(name="o", required_resource_keys={"bucket"})(lambda: None)]).to_job(
        resource_defs={"bucket": bucket}
    )
    result = job.execute_in_process(raise_on_error=False)
    assert not result.get_step_failure_events()
    assert reason(result.all_events) == SENTENCE


def test_our_own_sentence_goes_before_the_error_that_caused_it_where_nothing_has_put_it_first() -> None:
    result, message, causes = ran(denied.__wrapped__)  # type: ignore[attr-defined]
    assert "Error occurred while executing op" in message
    assert causes[-1] == "OSError: An error occurred (NoSuchBucket)\n"
    assert reason(result.all_events) == SENTENCE


def test_a_java_that_does_not_start_is_told_in_a_sentence() -> None:
    recorded = "pyspark.errors.exceptions.base.PySparkRuntimeError: [JAVA_GATEWAY_EXITED] Java gateway process exited"
    assert "Check FRUITS_DRIVER_MEMORY and JAVA_TOOL_OPTIONS" in str(own_sentence(recorded))


def test_each_error_of_ours_that_a_worker_of_spark_raises_has_its_sentence() -> None:
    errors: set[type[FruitsError]] = {FruitsError, *FruitsError.__subclasses__()}
    assert {"CalledWronglyError", "DamagedFileError", "TableChangedError"} <= {error.__name__ for error in errors}
    for error in errors:
        if error.__module__.startswith("spark_steps."):
            wrapped = "pyspark.errors.exceptions.captured.PythonException: \n"
            assert own_sentence(f"{wrapped}{error.__module__}.{error.__name__}: {SENTENCE}") == SENTENCE


def test_every_asset_check_op_and_io_manager_fails_in_a_sentence() -> None:
    nodes = [one.node_def for one in (*ALL_ASSETS, *ALL_CHECKS, *ALL_AUDIT_CHECKS)]
    jobs = [job for job in ALL_JOBS if isinstance(job, dg.JobDefinition)]
    nodes += [node.definition for job in jobs for node in job.graph.nodes]
    functions = [node.compute_fn.decorated_fn for node in nodes]  # type: ignore[attr-defined, union-attr]
    for manager in (FolderTableIOManager, MobileNetModelIOManager, PcaModelIOManager):
        functions += [manager.handle_output, manager.load_input]
    assert len(functions) >= 22
    wrapped_by = {function.__code__.co_filename.rpartition("/")[2] for function in functions}
    assert wrapped_by == {"failures.py"}


# Only commands end in these; what the others say may be read in the UI, where there are no options.
OF_COMMANDS = {"commands", "exports", "identify.py", "ui_process.py", "versions.py"}


def sentences_of_errors(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FruitsError":
            yield " ".join(
                text.value for text in ast.walk(node) if isinstance(text, ast.Constant) and isinstance(text.value, str)
            )


def test_no_sentence_that_the_ui_may_show_names_an_option_of_the_command_line() -> None:
    project = PROJECT
    sources = [*(project / "spark_steps").rglob("*.py"), *(project / "fruits_assets").rglob("*.py")]
    told = [
        sentence
        for source in sources
        if OF_COMMANDS.isdisjoint(source.parts)
        for sentence in sentences_of_errors(source)
    ]
    assert len(told) > 50
    # Options of another program, and of the sentence that fruits report ends in.
    others = ("convmv", "uv sync", "Make one: fruits run")
    named = [sentence for sentence in told if re.search(r"(^|\s)--[a-z]", sentence)]
    assert not [sentence for sentence in named if not any(other in sentence for other in others)]
