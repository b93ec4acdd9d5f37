"""Tests by Hypothesis, on a machine that does other things too."""

import time

from hypothesis import given
from hypothesis import strategies as st


@given(st.just("one example"))
def test_an_example_may_take_longer_than_the_default_of_200_ms(example: str) -> None:
    time.sleep(0.3)
