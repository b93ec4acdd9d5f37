"""Sets of photos, compared by a number."""

import pyarrow as pa

from spark_steps.store.summaries import Photos


def test_a_photo_more_less_other_or_twice_makes_another_set() -> None:
    def photos(*paths: str) -> Photos:
        return Photos.at(pa.array(paths))

    sets = [photos("a", "b"), photos("a"), photos("a", "b", "c"), photos("a", "c"), photos("a", "a"), photos("b", "b")]
    assert len(set(sets)) == len(sets)
    assert photos("a", "b", "a") == photos("a", "a", "b")
