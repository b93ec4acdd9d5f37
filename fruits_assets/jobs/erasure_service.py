"""Erasure of photos, for ``fruits erase`` and the job: one erasure at a time, and only while no run is under way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from fruits_assets.aws.residency import check_residency
from fruits_assets.instance.in_flight import what_is_under_way
from fruits_assets.instance.liveness import end_runs_of_killed_processes
from fruits_assets.instance.records import forget
from fruits_assets.instance.store_lock import one_at_a_time
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import Erasure, carry_out, decide, unfinished, withdraw
from spark_steps.erasure.lists import text_of
from spark_steps.erasure.plan import (
    Plan,
    Request,
    check_below,
    older_than,
    plan_erasure,
    read_list,
    read_request,
)
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.row_removal import check_nobody_writes


@dataclass(frozen=True)
class ErasureRequest:
    """Which photos to erase, as the user names them.

    Attributes:
        image_ids: Image ids, the sha256 of the photos' bytes.
        paths: Paths of the photos.
        listed: A file, on this machine or in S3, with an image id or a path on each line.
        lines: The content of such a list that is no file: of standard input, or of a pipe.
        older_than: Least number of days since the photos were last changed.
    """

    image_ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    listed: str | None = None
    older_than: int | None = None
    lines: str = ""

    @property
    def given(self) -> list[str]:
        """Ids and paths exactly as the user wrote them: a run's configuration contains them in this form."""
        return [*self.image_ids, *self.paths]

    def request(self, store: Store, settings: Settings) -> Request:
        """Returns the request with normalised image ids and paths, the lists read.

        Raises:
            FruitsError: A list is missing or cannot be read, or an entry is neither an image id nor a path below the
                images root.
        """
        request = read_request(self.image_ids, self.paths, settings.images)
        request |= read_list(self.lines, "The list", settings.images)
        if self.listed:
            location = locations.normalise(self.listed)
            check_residency(settings, locations=[location])
            request |= read_list(_text_of(location), f"The list {location}", settings.images)
        if self.older_than:
            now = datetime.now(UTC)
            # At most to the first day of the year 1, where Python's times begin.
            days = min(self.older_than, now.toordinal() - 1)
            request |= older_than(store, now - timedelta(days=days), settings.images)
        return request


Report = Callable[[str], None]
_PATIENCE_SECONDS = 10.0


def preview(settings: Settings, wanted: ErasureRequest) -> Plan:
    """Returns what an erasure would delete, and changes nothing.

    Raises:
        FruitsError: A photo cannot be erased.
    """
    store = _opened(settings)
    return _plan(store, wanted.request(store, settings), settings)


def erase(
    settings: Settings,
    instance: dg.DagsterInstance,
    wanted: ErasureRequest,
    agreed: Callable[[Plan], bool],
    report: Report,
    own_run: str | None = None,
) -> None:
    """Finishes erasures that were interrupted, then erases the photos of a request.

    Args:
        settings: The locations of the photos and the store.
        instance: The Dagster instance, whose records are searched too.
        wanted: The photos to erase; none, to finish interrupted erasures only.
        agreed: Takes the plan, and returns whether it is to be carried out.
        report: Takes progress messages, a line at a time; no line names a photo.
        own_run: The id of the run that erases, None where it is not a run.

    Raises:
        FruitsError: A run is under way, or a photo cannot be erased.
    """
    store = _opened(settings)
    request = wanted.request(store, settings)
    end_runs_of_killed_processes(instance)
    _refuse_while_running(instance, store, own_run)
    # Checked at a table's root, not beside the lock: there the launcher role may delete the lock only, and not the
    # object that the check writes.
    locations.check_exclusive_writes(store.raw_images.root)
    lock, what = f"{store.erasures}/unfinished/lock", f"erases photos of {store.root}"
    with one_at_a_time(lock, what, _PATIENCE_SECONDS) as check_alone:
        begun = _finish_interrupted(store, settings, instance, report, check_alone)
        plan = _plan(store, _without(request, begun), settings)
        if not agreed(plan):
            return
        if plan.is_empty:
            # A run that was to erase photos erased before has their names in its configuration: replace them there.
            if wanted.given:
                forget(instance, plan.absent, wanted.given)
            return
        # Check the lock again: the answer to the question may have taken a day.
        check_alone()
        erasure = decide(store, plan, wanted.given)
        try:
            # Check again: a run that started since the first check has not seen the note that ``decide`` writes. A run
            # that starts from now on sees it and refuses.
            _refuse_while_running(instance, store, own_run)
        except FruitsError:
            withdraw(store, erasure)
            raise
        _finish(store, settings, erasure, instance, report, check_alone)


def _finish_interrupted(
    store: Store, settings: Settings, instance: dg.DagsterInstance, report: Report, check_alone: Callable[[], None]
) -> list[Erasure]:
    begun = unfinished(store, settings.images)
    for erasure in begun:
        report(f"The erasure {erasure.name} was interrupted, and is finished now.")
        _finish(store, settings, erasure, instance, report, check_alone)
    return begun


def _plan(store: Store, request: Request, settings: Settings) -> Plan:
    plan = plan_erasure(store, request, settings.images)
    check_below([source.path for source in plan.sources], settings.images, f"The store {store.root}")
    return plan


def _opened(settings: Settings) -> Store:
    settings.export()
    check_residency(settings, locations=[settings.images, settings.store])
    store = Store(settings.store)
    store.check_images(settings.images)
    return store


def _without(request: Request, begun: list[Erasure]) -> Request:
    """Returns a request without the photos of erasures just finished: a repeated command would find them absent."""
    ids = {image_id for erasure in begun for image_id in erasure.image_ids}
    paths = {path for erasure in begun for path in erasure.paths}
    return Request(request.image_ids - ids, request.paths - paths)


def _finish(
    store: Store,
    settings: Settings,
    erasure: Erasure,
    instance: dg.DagsterInstance,
    report: Report,
    check_alone: Callable[[], None],
) -> None:
    alone = [*erasure.given, *(path.removeprefix(f"{settings.images}/") for path in erasure.paths)]
    for line in carry_out(store, erasure, settings.images, lambda texts: forget(instance, texts, alone)):
        report(line)
        check_alone()
    report(str(erasure.receipt["what_to_do"]))


def _refuse_while_running(instance: dg.DagsterInstance, store: Store, own_run: str | None) -> None:
    if busy := what_is_under_way(instance, without=own_run):
        raise FruitsError(f"{busy} Nothing is erased while it could bring rows back: erase again when it has ended.")
    for table in store.tables.values():
        check_nobody_writes(table)


def _text_of(location: str) -> str:
    try:
        content = locations.read_bytes(location)
    except OSError as error:
        raise FruitsError(
            f"The list {location} cannot be read ({error}). Give a text file with an image id or a path on each line."
        ) from error
    return text_of(content, f"The list {location}")
