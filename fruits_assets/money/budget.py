"""Whether the month's budget allows one more cluster or job; asked under the account's lock (``allowance``)."""

from dataclasses import dataclass

from fruits_assets.money.costs import MINUTES_BEYOND_AGE
from fruits_assets.money.prices import Prices
from fruits_assets.money.spend import ClusterSpend, Spend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# Hours that a cluster of others is assumed to run on, because its end is unknown. One is enough: the check is repeated
# before every new cluster.
_HOURS_OF_OTHERS = 1.0


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

    A cluster of this platform costs at most what its tag says, which its creator computed from his own settings. A
    cluster of others may run forever; one hour of it is counted.

    Args:
        cluster: A cluster that lived in this month.
        worst_case_eur: The most that a cluster with the present settings costs, for one without that tag.
    """
    if not cluster.running:
        return 0.0
    if cluster.ours:
        worst = worst_case_eur if cluster.worst_case_eur is None else cluster.worst_case_eur
        return max(0.0, worst - cluster.eur)
    return cluster.hourly.total * _HOURS_OF_OTHERS


@dataclass(frozen=True)
class Subject:
    """What the budget refuses.

    Attributes:
        refusal: The beginning of the refusal.
        remedy: The settings that make it cost less.
    """

    refusal: str
    remedy: str


CLUSTER = Subject("No cluster is created: the budget of", "FRUITS_MAX_AGE_MINUTES or FRUITS_MAX_CORE_NODES")
JOB = Subject("No job is started: the budget of", "FRUITS_STEP_MINUTES or FRUITS_MAX_EXECUTORS")


def check_budget(spend: Spend, worst_case_eur: float, budget_eur: float, subject: Subject = CLUSTER) -> None:
    """Refuses one more cluster or job where it could go over the month's budget.

    Args:
        spend: What clusters and jobs have cost in the month.
        worst_case_eur: The most that the new one may cost.
        budget_eur: The month's budget.
        subject: What is refused.

    Raises:
        FruitsError: What was spent, what running clusters and jobs may still cost and the new one together exceed the
            budget.
    """
    rest = sum(rest_eur(cluster, worst_case_eur) for cluster in spend.clusters)
    rest += sum(job.rest_eur for job in spend.jobs)
    needed = spend.total_eur + rest + worst_case_eur
    # Compared in cents, as the message shows them: a budget that looks sufficient there is sufficient.
    if round(needed, 2) <= round(budget_eur, 2):
        return
    running = _running(spend)
    still = f" + {rest:.2f} EUR that {running} may still cost" if running else ""
    raise FruitsError(
        f"{subject.refusal} {budget_eur:.2f} EUR for {spend.month:%B %Y} could be exceeded. "
        f"{spend.total_eur:.2f} EUR spent so far{still} + {worst_case_eur:.2f} EUR that a new one may cost at most "
        f"= {needed:.2f} EUR (prices: {spend.prices}). Raise FRUITS_BUDGET_EUR, lower "
        f"{subject.remedy}{', end what fruits clusters lists' if running else ''}, or wait for the first of the "
        "next month."
    )


def _running(spend: Spend) -> str:
    """Returns how many clusters and jobs run, as words; an empty text where none does."""
    numbers = {
        "cluster": sum(cluster.running for cluster in spend.clusters),
        "job": sum(job.running for job in spend.jobs),
    }
    return " and ".join(
        f"{count} running {what}{'' if count == 1 else 's'}" for what, count in numbers.items() if count
    )
