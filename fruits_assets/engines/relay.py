"""Events of a step elsewhere, stored in the launching instance with data versions and links, and none twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster_shared.serdes.errors import DeserializationError

from fruits_assets.engines.step_failures import Cause, explain_error
from fruits_assets.instance.internals import (
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    CheckError,
    DagsterEventBatchMetadata,
    build_data_version_tags,
    compute_logical_data_version,
    generate_event_batch_id,
    get_code_version,
    get_input_provenance_data,
)
from spark_steps.errors import FruitsError

_RECORDS = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.HANDLED_OUTPUT,
}
_ENDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY}


class EventRelay:
    """Stores the events of a step, its materializations and other records only when the step has ended.

    An attempt that was lost half way must leave no materializations, because the next attempt makes them again.

    Attributes:
        ended: Whether the step's success, failure or retry event has come.
        cause: Why the step failed, where the engine is the cause.
    """

    def __init__(
        self,
        step_context: dg.StepExecutionContext,
        links: Mapping[str, Any],
        explain: Callable[[str], Cause | None] = explain_error,
    ) -> None:
        self._step_context = step_context
        self._links = links
        self._explain = explain
        self._kept: list[dg.EventLogEntry] = []
        self._versions_of_asset: dict[dg.AssetKey, dict[str, str]] = {}
        self.ended = False
        self.cause: Cause | None = None

    def forward(self, events: list[str]) -> Iterator[DagsterEvent]:
        """Stores serialized events in this instance, and yields the DagsterEvents among them; the rest are logs."""
        for text in events:
            event = self._event(text)
            kind = event.dagster_event.event_type if event.dagster_event else None
            if kind in _RECORDS:
                self._kept.append(event)
                continue
            if kind in _ENDS:
                self.ended = True
                self.cause = (
                    _cause(event.get_dagster_event(), self._explain) if kind == DagsterEventType.STEP_FAILURE else None
                )
                if self.cause:
                    # The launcher reports the failure or requests the retry. The records of this attempt are dropped.
                    return
                if kind != DagsterEventType.STEP_UP_FOR_RETRY:
                    yield from self._store(self._kept)
                self._kept = []
            yield from self._pass_on(event)

    def _event(self, text: str) -> dg.EventLogEntry:
        """Returns the event of this run that a text describes.

        Dagster's deserialization of JSON makes only Dagster's own record types. So a foreign object in the staging
        bucket can neither run code here nor add events to another run.
        """
        try:
            event = dg.deserialize_value(text, dg.EventLogEntry)
        except (DeserializationError, CheckError, ValueError, TypeError) as error:
            raise FruitsError(
                "An event in the staging bucket is none of Dagster's. Find out who writes there."
            ) from error
        if event.run_id != self._step_context.run_id:
            raise FruitsError(
                f"An event in the staging bucket is of the run {event.run_id}, which is another. Find out who writes "
                "there."
            )
        return event

    def _pass_on(self, event: dg.EventLogEntry) -> Iterator[DagsterEvent]:
        if event.dagster_event is None:
            # By the run's log manager, so that the message also appears at the terminal.
            self._step_context.log.log(event.level, event.user_message)
        else:
            yield from self._store([event])

    def _store(self, events: Sequence[dg.EventLogEntry]) -> list[DagsterEvent]:
        """Stores events as one batch: with thousands of folders there are thousands of materializations."""
        completed, batch = [self._completed(event) for event in events], generate_event_batch_id()  # type: ignore[no-untyped-call]
        for number, event in enumerate(completed, 1):
            is_last = DagsterEventBatchMetadata(batch, number == len(completed))
            self._step_context.instance.handle_new_event(event, batch_metadata=is_last)
        return [event.get_dagster_event() for event in completed]

    def _completed(self, entry: dg.EventLogEntry) -> dg.EventLogEntry:
        """Returns the event; adds links and the versions of its inputs to a materialization."""
        event = entry.dagster_event
        if event is None or event.event_type != DagsterEventType.ASSET_MATERIALIZATION:
            return entry
        data = event.step_materialization_data
        made = data.materialization
        made = made.with_metadata({**made.metadata, **self._links})
        made = made._replace(tags={**(made.tags or {}), **self._versions(made.asset_key), **_given_version(made)})
        event = event._replace(event_specific_data=data._replace(materialization=made))
        return entry._replace(dagster_event=event)

    def _versions(self, asset_key: dg.AssetKey) -> dict[str, str]:
        """Returns the tags by which Dagster finds stale assets: the step's own instance has no records of inputs."""
        if asset_key not in self._versions_of_asset:
            self._versions_of_asset[asset_key] = self._find_versions(asset_key)
        return self._versions_of_asset[asset_key]

    def _find_versions(self, asset_key: dg.AssetKey) -> dict[str, str]:
        code_version = get_code_version(asset_key, self._step_context)
        inputs = get_input_provenance_data(asset_key, self._step_context)
        version = compute_logical_data_version(code_version, {key: one["data_version"] for key, one in inputs.items()})
        return build_data_version_tags(version, code_version, inputs, False)


def _given_version(made: dg.AssetMaterialization) -> Mapping[str, str]:
    """Returns the data version that the asset itself set, such as a fingerprint: it is valid in any instance."""
    tags = made.tags or {}
    return {DATA_VERSION_TAG: tags[DATA_VERSION_TAG]} if DATA_VERSION_IS_USER_PROVIDED_TAG in tags else {}


def _cause(event: DagsterEvent, explain: Callable[[str], Cause | None]) -> Cause | None:
    """Returns why a step failed where the engine is the cause; None for a Failure of ours or an error of the code."""
    failure = event.step_failure_data
    if failure.user_failure_data:
        return None
    error, messages = failure.error, []
    while error:
        messages.append(error.message)
        error = error.cause
    return explain("\n".join(messages))
