"""An approximate index of the photos in memory, by faiss: it proposes photos, whose distances are computed exactly.

An inverted file: the photos are assigned to the nearest of a few thousand centres, and a search looks at the photos of
the nearest centres alone. It may overlook photos, so that distances can come out too large and never too small.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_steps.queries.comparable import Numbers

Rows = NDArray[np.int64]
# A photo is kept as a byte for each number, which proposes well enough: so many times the neighbours are proposed.
_KIND = "IVF{lists},SQ8"
_MORE = 4
# faiss warns below 39 photos for each centre; more do not make better centres.
_PHOTOS_FOR_A_CENTRE = 40


class ApproximateIndex:
    """The index of some photos. Threads may search at the same time.

    Attributes:
        lists: Number of centres.
        searched: Number of centres whose photos a search looks at.
    """

    def __init__(self, numbers: Numbers, threads: int) -> None:
        """Builds the index.

        Args:
            numbers: Reduced features, of shape (N, k), at least 40.
            threads: Threads that build it; a search takes one.
        """
        # Imported here: it takes 0.1 s, and most stores are searched exactly.
        import faiss

        self._faiss: Any = faiss
        rows, width = numbers.shape
        self.lists = max(1, min(rows // _PHOTOS_FOR_A_CENTRE, round(2 * rows**0.5)))
        faiss.omp_set_num_threads(threads)
        index: Any = faiss.index_factory(width, _KIND.format(lists=self.lists), faiss.METRIC_L2)
        # Else it prints a warning about stores of fewer photos.
        index.cp.min_points_per_centroid = 1
        chosen = np.random.default_rng(0).permutation(rows)[: self.lists * _PHOTOS_FOR_A_CENTRE]
        index.train(numbers[np.sort(chosen)])
        index.add(numbers)
        self._index, self.searched = index, 1

    def nearest(
        self, reduced: Numbers, count: int, without: range | None, is_live: Callable[[Rows], NDArray[np.bool_]]
    ) -> Rows:
        """Returns rows that are likely to be among the nearest, more than asked for where there are more.

        Args:
            reduced: A photo's reduced features, of shape (k,).
            count: Neighbours that are wanted.
            without: Rows to leave out.
            is_live: Returns for each of some rows whether it may be found.
        """
        faiss = self._faiss
        # Of the calling thread alone: requests are answered at the same time.
        faiss.omp_set_num_threads(1)
        # In a name of its own: faiss keeps no reference to it.
        own = None if without is None else faiss.IDSelectorRange(without.start, without.stop)
        outside = None if own is None else faiss.IDSelectorNot(own)
        how = faiss.SearchParametersIVF(nprobe=self.searched, sel=outside)
        asked = _MORE * count
        while True:
            asked = min(asked, self._index.ntotal)
            _, (found,) = self._index.search(reduced[np.newaxis], asked, params=how)
            rows: Rows = found[found >= 0]
            live = rows[is_live(rows)]
            if len(live) >= count or len(rows) < asked or asked == self._index.ntotal:
                return live
            asked *= _MORE
