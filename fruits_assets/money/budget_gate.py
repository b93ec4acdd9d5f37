"""Whether the month's budget allows an automatic run; automation checks it before it starts the run."""

from typing import Protocol

from fruits_assets.aws import clock
from fruits_assets.money.account import account_spend, next_worst_case
from fruits_assets.money.budget import check_budget
from fruits_assets.money.dbus.estimate import estimate_workspace
from fruits_assets.money.dbus.prices import read_dbu_prices
from fruits_assets.money.dpus.estimate import estimate_runs
from fruits_assets.money.dpus.prices import read_dpu_prices
from fruits_assets.money.estimate import BYTES_PER_MEGAPIXEL, estimate
from fruits_assets.money.jobs.estimate import estimate_jobs
from fruits_assets.money.jobs.prices import read_worker_prices
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


class Expected(Protocol):
    """What a run is expected to take."""

    @property
    def parts(self) -> int:
        """Ranges of folders that it is to be run in."""

    @property
    def total_eur(self) -> float:
        """Its cost."""


def check_automatic_run(settings: Settings, images: int = 0, image_bytes: float = 0.0) -> Expected | None:
    """Refuses a run on AWS that could exceed the month's budget; runs on this machine are not checked.

    Args:
        settings: The platform's settings.
        images: Photos that the run is to featurise.
        image_bytes: Average bytes of a photo.

    Returns:
        Expected time and cost of the photos; None without photos, or where the deployment costs nothing.

    Raises:
        FruitsError: The budget could be exceeded, or what was spent cannot be read from AWS.
    """
    if settings.deployment == "local":
        return None
    prices = read_prices(settings)
    spend = account_spend(settings, prices, clock.now())
    worst, subject = next_worst_case(settings, prices)
    check_budget(spend, worst, settings.budget_eur, subject)
    if not images:
        return None
    megapixels = max(image_bytes, 1.0) / BYTES_PER_MEGAPIXEL
    expected: Expected
    if settings.deployment == "emr":
        expected = estimate(images, settings.core_nodes, prices, settings, megapixels)
    elif settings.deployment == "glue":
        expected = estimate_runs(images, read_dpu_prices(settings), settings, megapixels)
    elif settings.deployment == "databricks":
        expected = estimate_workspace(images, read_dbu_prices(settings), settings, megapixels)
    else:
        expected = estimate_jobs(images, read_worker_prices(settings), settings, megapixels)
    left = settings.budget_eur - spend.total_eur
    if expected.total_eur > left:
        raise FruitsError(
            f"{images:,} new photos are expected to cost {expected.total_eur:.2f} EUR, and {left:.2f} EUR of the "
            f"{settings.budget_eur:.2f} EUR for {spend.month:%B %Y} are left. Raise FRUITS_BUDGET_EUR, or run some of "
            "the folders yourself."
        )
    return expected
