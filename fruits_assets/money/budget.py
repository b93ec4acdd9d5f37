"""Whether the month's budget allows one more cluster; decided before it is asked for."""

from fruits_assets.money.prices import Prices
from fruits_assets.money.spend import ClusterSpend, Spend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# A cluster of others has no end that is known. It is looked at again before every new cluster, so an hour is enough.
_HOURS_OF_OTHERS = 1.0
# Nodes count from their creation. The switch that ends them is set when they have booted, 3 to 5 minutes later; its
# timer may be a minute late; and the end takes minutes, 5 where EMR does not hear and the machine shuts itself down.
MINUTES_BEYOND_AGE = 10


def worst_case_eur(settings: Settings, prices: Prices) -> float:
    """Returns the most that a cluster may cost: the master and the most core nodes for the greatest age, boot and end.

    Args:
        settings: Nodes and age.
        prices: Of their type.
    """
    nodes = 1 + settings.max_core_nodes
    return nodes * (settings.max_age_minutes + MINUTES_BEYOND_AGE) / 60 * prices.node_hour_eur(settings.instance_type)


def rest_eur(cluster: ClusterSpend, worst_case_eur: float) -> float:
    """Returns the most that a cluster may still cost.

    One of ours reaches the worst case at most, if it was started with the settings of now. One of others may run
    for ever; an hour of it is counted.

    Args:
        cluster: Of the month.
        worst_case_eur: Of one of ours, from its creation to its end.
    """
    if not cluster.running:
        return 0.0
    if cluster.ours:
        return max(0.0, worst_case_eur - cluster.eur)
    return cluster.hourly.total * _HOURS_OF_OTHERS


def check_budget(spend: Spend, worst_case_eur: float, budget_eur: float) -> None:
    """Refuses one more cluster where it could go over the month's budget.

    Args:
        spend: What clusters have cost in the month.
        worst_case_eur: The most that the new one may cost.
        budget_eur: For the month.

    Raises:
        FruitsError: What was spent, what running clusters may still cost and the new one do not fit together.
    """
    rest = sum(rest_eur(cluster, worst_case_eur) for cluster in spend.clusters)
    needed = spend.total_eur + rest + worst_case_eur
    # Cents are what is shown and what is compared: a budget that looks sufficient is.
    if round(needed, 2) <= round(budget_eur, 2):
        return
    running = sum(cluster.running for cluster in spend.clusters)
    clusters = "cluster" if running == 1 else "clusters"
    still = f" + {rest:.2f} EUR that {running} running {clusters} may still cost" if running else ""
    raise FruitsError(
        f"No cluster is created: the budget of {budget_eur:.2f} EUR for {spend.month:%B %Y} could be exceeded. "
        f"{spend.total_eur:.2f} EUR spent so far{still} + {worst_case_eur:.2f} EUR that a new one may cost at most "
        f"= {needed:.2f} EUR (prices: {spend.prices}). Raise FRUITS_BUDGET_EUR, lower FRUITS_MAX_AGE_MINUTES or "
        f"FRUITS_MAX_CORE_NODES{', end what fruits clusters lists' if running else ''}, or wait for the first of the "
        "next month."
    )
