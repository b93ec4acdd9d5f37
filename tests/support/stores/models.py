"""PCA models made by hand, for stores whose rows no run has reduced."""

from collections.abc import Sequence

import numpy as np

from spark_steps.pca.model import PcaModel


def model_by_hand(version: str, features_model: str, rows: int, folders: Sequence[str], components: int) -> PcaModel:
    """Returns a model whose components are the first features, each with the same share of the variance."""
    return PcaModel(
        version=version,
        features_model=features_model,
        rows=rows,
        folders=list(folders),
        k=components,
        asked_components=components,
        asked_variance=None,
        mean=np.zeros(1280),
        scale=np.ones(1280),
        components=np.eye(components, 1280),
        explained_variance_ratio=np.full(components, 1 / components),
    )
