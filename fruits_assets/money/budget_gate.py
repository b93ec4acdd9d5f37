"""Whether the month's budget allows what nobody is looking at: asked by automation before it starts a run."""

from datetime import UTC, datetime

from fruits_assets.aws.sessions import client
from fruits_assets.money.budget import check_budget, worst_case_eur
from fruits_assets.money.estimate import BYTES_PER_MEGAPIXEL, Estimate, estimate
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import month_spend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


def check_automatic_run(settings: Settings, images: int = 0, image_bytes: float = 0.0) -> Estimate | None:
    """Refuses a run on the cluster that the month's budget may not allow; elsewhere than on EMR nothing is asked.

    Args:
        settings: The platform's.
        images: Photos that the run is to featurise.
        image_bytes: Of each.

    Returns:
        What the photos are expected to take, None where there are none or nothing is paid for.

    Raises:
        FruitsError: The budget could be exceeded, or AWS does not say what was spent.
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
