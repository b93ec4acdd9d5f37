"""The events of a step on the cluster, passed on to this instance: completed, and none that a retry repeats."""

from collections.abc import Iterator, Mapping, Sequence
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
    """Passes a step's events on, and keeps back its records until it is known how the step ended.

    An attempt that died half way must not leave materializations that the next attempt makes again.

    Attributes:
        ended: Whether the step has said how it ended.
        cause: What the cluster did to it, where that is why it failed.
    """

    def __init__(self, step_context: dg.StepExecutionContext, links: Mapping[str, Any]) -> None:
        self._step_context = step_context
        self._links = links
        self._kept: list[dg.EventLogEntry] = []
        self._versions_of_asset: dict[dg.AssetKey, dict[str, str]] = {}
        self.ended = False
        self.cause: Cause | None = None

    def forward(self, events: list[str]) -> Iterator[DagsterEvent]:
        """Stores serialized events in this instance, and yields those that are Dagster's own."""
        for text in events:
            event = self._event(text)
            kind = event.dagster_event.event_type if event.dagster_event else None
            if kind in _RECORDS:
                self._kept.append(event)
                continue
            if kind in _ENDS:
                self.ended = True
                self.cause = _cause(event.get_dagster_event()) if kind == DagsterEventType.STEP_FAILURE else None
                if self.cause:
                    # The launcher fails or retries the step in its own words; records of this attempt are no more.
                    return
                if kind != DagsterEventType.STEP_UP_FOR_RETRY:
                    yield from self._store(self._kept)
                self._kept = []
            yield from self._pass_on(event)

    def _event(self, text: str) -> dg.EventLogEntry:
        """Returns an event of this run.

        JSON that can name Dagster's own records and nothing else: whoever writes in the staging bucket runs no code
        here, and puts nothing into the records of other runs.
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
            # Through the log of this run, which also tells people at a terminal.
            self._step_context.log.log(event.level, event.user_message)
        else:
            yield from self._store([event])

    def _store(self, events: Sequence[dg.EventLogEntry]) -> list[DagsterEvent]:
        """Stores Dagster's own events, as one batch: thousands of folders have a materialization each."""
        completed, batch = [self._completed(event) for event in events], generate_event_batch_id()  # type: ignore[no-untyped-call]
        for number, event in enumerate(completed, 1):
            is_last = DagsterEventBatchMetadata(batch, number == len(completed))
            self._step_context.instance.handle_new_event(event, batch_metadata=is_last)
        return [event.get_dagster_event() for event in completed]

    def _completed(self, entry: dg.EventLogEntry) -> dg.EventLogEntry:
        """Returns an event; a materialization with links, and with the versions of its inputs."""
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
        """Returns what Dagster tells fresh from stale by: the cluster's own instance knows nothing of the inputs."""
        if asset_key not in self._versions_of_asset:
            self._versions_of_asset[asset_key] = self._find_versions(asset_key)
        return self._versions_of_asset[asset_key]

    def _find_versions(self, asset_key: dg.AssetKey) -> dict[str, str]:
        code_version = get_code_version(asset_key, self._step_context)
        inputs = get_input_provenance_data(asset_key, self._step_context)
        version = compute_logical_data_version(code_version, {key: one["data_version"] for key, one in inputs.items()})
        return build_data_version_tags(version, code_version, inputs, False)


def _given_version(made: dg.AssetMaterialization) -> Mapping[str, str]:
    """Returns the data version that an asset gave itself, such as a fingerprint: it holds here as it does there."""
    tags = made.tags or {}
    return {DATA_VERSION_TAG: tags[DATA_VERSION_TAG]} if DATA_VERSION_IS_USER_PROVIDED_TAG in tags else {}


def _cause(event: DagsterEvent) -> Cause | None:
    """Returns what the cluster did to a step that failed, None where the failure is one of ours or of the code."""
    failure = event.step_failure_data
    if failure.user_failure_data:
        return None
    error, messages = failure.error, []
    while error:
        messages.append(error.message)
        error = error.cause
    return explain_error("\n".join(messages))
