"""Whether the month's budget allows an automatic run; automation checks it before it starts the run."""

from datetime import UTC, datetime

from fruits_assets.aws.sessions import client
from fruits_assets.money.budget import check_budget, worst_case_eur
from fruits_assets.money.estimate import BYTES_PER_MEGAPIXEL, Estimate, estimate
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import month_spend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


def check_automatic_run(settings: Settings, images: int = 0, image_bytes: float = 0.0) -> Estimate | None:
    """Refuses a run on EMR that could exceed the month's budget; other deployments are not checked.

    Args:
        settings: The platform's settings.
        images: Photos that the run is to featurise.
        image_bytes: Average bytes of a photo.

    Returns:
        Expected time and cost of the photos; None without photos, or where the deployment costs nothing.

    Raises:
        FruitsError: The budget could be exceeded, or what was spent cannot be read from AWS.
    """
    if settings.deployment != "emr":
        return None
    prices = read_prices(settings)
    spend = month_spend(client("emr", settings.region), prices, datetime.now(UTC))
    check_budget(spend, worst_case_eur(settings, prices), settings.budget_eur)
    if not images:
        return None
    expected = estimate(images, settings.core_nodes, prices, settings, max(image_bytes, 1.0) / BYTES_PER_MEGAPIXEL)
    left = settings.budget_eur - spend.total_eur
    if expected.total_eur > left:
        raise FruitsError(
            f"{images:,} new photos are expected to cost {expected.total_eur:.2f} EUR, and {left:.2f} EUR of the "
            f"{settings.budget_eur:.2f} EUR for {spend.month:%B %Y} are left. Raise FRUITS_BUDGET_EUR, or run some of "
            "the folders yourself."
        )
    return expected
