"""Budgets: what may still be spent, and what does not fit."""

import pytest

from fruits_assets.money.budget import check_budget, rest_eur, worst_case_eur
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.money import ROUND, spend_of, spent


def test_the_worst_case_is_the_most_nodes_for_the_greatest_age_and_ten_minutes_of_boot_and_end() -> None:
    settings = read_settings(max_core_nodes=4, max_age_minutes=110)
    assert worst_case_eur(settings, ROUND) == pytest.approx(5 * 2 * 0.5)


def test_a_cluster_of_ours_at_its_greatest_age_may_still_cost_ten_minutes() -> None:
    settings = read_settings(max_core_nodes=4, max_age_minutes=120)
    at_that_age = spent(5 * 2 * 0.5, "RUNNING", hourly=2.5)
    assert rest_eur(at_that_age, worst_case_eur(settings, ROUND)) == pytest.approx(5 * 10 / 60 * 0.5)


def test_a_budget_that_fits_to_the_cent_is_enough() -> None:
    check_budget(spend_of(spent(5.004)), worst_case_eur=5.0, budget_eur=10.0)


def test_a_budget_that_does_not_fit_refuses_with_the_figures_and_what_to_do() -> None:
    with pytest.raises(FruitsError) as refused:
        check_budget(spend_of(spent(4.0), spent(3.5)), worst_case_eur=2.62, budget_eur=10.0)
    for part in (
        "budget of 10.00 EUR for November 2026",
        "7.50 EUR spent so far + 2.62 EUR that a new one",
        "= 10.12 EUR",
        "FRUITS_BUDGET_EUR",
        "FRUITS_MAX_AGE_MINUTES",
        "first of the next month",
    ):
        assert part in str(refused.value)


def test_a_cluster_of_ours_that_runs_counts_with_the_rest_of_its_worst_case() -> None:
    running = spent(1.0, "RUNNING", hourly=1.5)
    assert rest_eur(running, 2.5) == 1.5
    # 1.00 spent + 1.50 rest + 2.50 new.
    check_budget(spend_of(running), 2.5, 5.0)
    with pytest.raises(FruitsError, match=r"\+ 1\.50 EUR that 1 running cluster may still cost"):
        check_budget(spend_of(running), 2.5, 4.99)


def test_what_a_colleagues_cluster_may_still_cost_is_what_its_own_tag_says() -> None:
    larger = spent(1.0, "RUNNING", stack="colleagues", worst=9.0)
    assert rest_eur(larger, 2.5) == 8.0
    with pytest.raises(FruitsError, match=r"\+ 8\.00 EUR that 1 running cluster may still cost"):
        check_budget(spend_of(larger), 2.5, 10.0)


def test_a_cluster_of_others_that_runs_counts_with_another_hour_and_one_that_ends_with_nothing() -> None:
    assert rest_eur(spent(30.0, "WAITING", stack=None, hourly=1.5), 2.5) == 1.5
    assert rest_eur(spent(30.0, "TERMINATING", stack=None, hourly=1.5), 2.5) == 0
    assert rest_eur(spent(1.0, "TERMINATED"), 2.5) == 0


def test_an_empty_budget_allows_nothing() -> None:
    with pytest.raises(FruitsError, match=r"budget of 0\.00 EUR"):
        check_budget(spend_of(), 0.5, 0.0)
