"""Features that resemble those of photos."""

import numpy as np


def features_like(rows: int, seed: int = 0, rank: int = 40) -> np.ndarray:
    """Features with a spectrum that falls off, a mean, and the zeros of ReLU6."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, rank)) * np.geomspace(1, 0.05, rank) @ random.normal(size=(rank, 1280))
    return np.clip(values * 0.4 + 0.5 + random.normal(scale=0.05, size=(rows, 1280)), 0, 6).astype(np.float32)
