"""Whether the month's budget allows one more cluster; checked before the cluster is requested."""

from fruits_assets.money.prices import Prices
from fruits_assets.money.spend import ClusterSpend, Spend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# Hours that a cluster of others is assumed to run on, because its end is unknown. One is enough: the check is repeated
# before every new cluster.
_HOURS_OF_OTHERS = 1.0
# Nodes cost from their creation. The schedule that ends them may be a minute late. The switch on the master, which ends
# them if the schedule does not, counts from its boot, 3 to 5 minutes later. Ending takes minutes: 5 where EMR cannot be
# reached and the machine shuts itself down.
MINUTES_BEYOND_AGE = 10


def worst_case_eur(settings: Settings, prices: Prices) -> float:
    """Returns the most that a cluster may cost: master and maximum core nodes, for the maximum age, boot and end.

    Args:
        settings: Maximum number of nodes and maximum age.
        prices: Prices, those of the instance type among them.
    """
    nodes = 1 + settings.max_core_nodes
    return nodes * (settings.max_age_minutes + MINUTES_BEYOND_AGE) / 60 * prices.node_hour_eur(settings.instance_type)


def rest_eur(cluster: ClusterSpend, worst_case_eur: float) -> float:
    """Returns the most that a cluster may still cost.

    A cluster of this platform costs at most the worst case, if it was started with the present settings. A cluster of
    others may run forever; one hour of it is counted.

    Args:
        cluster: A cluster that lived in this month.
        worst_case_eur: The most that a cluster of this platform costs from its creation to its end.
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
        budget_eur: The month's budget.

    Raises:
        FruitsError: What was spent, what running clusters may still cost and the new cluster together exceed the
            budget.
    """
    rest = sum(rest_eur(cluster, worst_case_eur) for cluster in spend.clusters)
    needed = spend.total_eur + rest + worst_case_eur
    # Compared in cents, as the message shows them: a budget that looks sufficient there is sufficient.
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
