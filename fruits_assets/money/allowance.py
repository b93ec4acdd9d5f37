"""One lock of the account for everything that costs money: whoever holds it asks the budget and starts something.

All stacks of an account and region share a budget, whichever engine they use. So they share the lock: of two that start
at the same moment, the second looks at the budget when the first has started what it wanted. A service may list what
it has just created some seconds late; for that time a note beside the lock tells of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.aws import clock, s3_lock
from fruits_assets.aws.sessions import read_object, translate_errors
from fruits_assets.money.account import account_spend
from fruits_assets.money.budget import Subject, check_budget
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import JobSpend, Spend
from fruits_assets.settings import Settings

LOCK = "locks/money.json"
# Longer than it takes for the lock of a killed process to become stale.
LOCK_PATIENCE = s3_lock.STALE_SECONDS + 30.0
_NOTES = "locks/created/"
# A service that lists nothing of a job for so long has none.
_NOTE_SECONDS = 600.0


@dataclass
class Allowance:
    """What the holder of the lock may do.

    Attributes:
        settings: The budget.
        s3: A boto3 client.
        bucket: The account's bucket of locks.
        held: Raises a FruitsError where the lock was lost.
    """

    settings: Settings
    s3: Any
    bucket: str
    held: Callable[[], None]
    _worst_eur: float = 0.0

    def ask(self, worst_eur: float, subject: Subject) -> None:
        """Refuses one more cluster or job where it could go over the month's budget.

        Args:
            worst_eur: The most that it may cost.
            subject: Which of both it is.

        Raises:
            FruitsError: It could, or what was spent cannot be read.
        """
        spend = account_spend(self.settings, read_prices(self.settings), clock.now())
        with translate_errors(f"look for what was just created in s3://{self.bucket}/{_NOTES}"):
            spend = replace(spend, jobs=(*spend.jobs, *self._not_listed(spend)))
        check_budget(spend, worst_eur, self.settings.budget_eur, subject)
        self._worst_eur = worst_eur

    def check_held(self) -> None:
        """Raises a FruitsError where another holds the lock by now; called right before something is started."""
        self.held()

    def created(self, identity: str) -> None:
        """Notes what was started, so that it counts before its service lists it."""
        # It is started: a note that cannot be written must not lose it.
        with suppress(BotoCoreError, ClientError):
            body = f"{self._worst_eur:.4f}".encode()
            self.s3.put_object(Bucket=self.bucket, Key=f"{_NOTES}{identity}", Body=body)

    def _not_listed(self, spend: Spend) -> Iterator[JobSpend]:
        """Yields what was created lately and its service does not list yet."""
        listed = {one.id for one in spend.clusters} | {one.id for one in spend.jobs}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=_NOTES):
            for note in page.get("Contents", []):
                identity = note["Key"].removeprefix(_NOTES)
                age = s3_lock.seconds_since(note["LastModified"], page)
                if identity in listed or age > _NOTE_SECONDS:
                    continue
                worst = float(read_object(self.s3, self.bucket, note["Key"]) or 0.0)
                yield JobSpend(identity, "", "", "SUBMITTED", None, note["LastModified"], 0.0, worst, "not listed yet")


@contextmanager
def allowance(settings: Settings, s3: Any, bucket: str, patience: float = LOCK_PATIENCE) -> Iterator[Allowance]:
    """Holds the account's lock.

    Args:
        settings: The budget.
        s3: A boto3 client.
        bucket: The account's bucket of locks.
        patience: Seconds to wait for another holder.

    Raises:
        FruitsError: Another holds it for longer than that.
    """
    with s3_lock.held(s3, bucket, LOCK, patience) as held:
        yield Allowance(settings, s3, bucket, held)
