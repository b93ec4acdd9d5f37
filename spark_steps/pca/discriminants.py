"""Finds two axes that separate labels, by a discriminant analysis; a PCA does not use labels."""

from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from spark_steps.pca.moments import Matrix

# Photos per number that is used. With fewer photos, randomly assigned labels would be separated too.
_PHOTOS_A_NUMBER = 10
_LEAST_VARIANCE = 1e-6


def separated(reduced: NDArray[np.floating], labels: NDArray[np.str_]) -> Matrix | None:
    """Projects photos on the two axes that separate the most pairs of labels.

    This is a linear discriminant analysis in which each pair of labels is weighted by how likely the two are confused.
    Without the weights, the two axes would separate the few labels that are far from all others, and all other labels
    would overlap. The method is that of Loog, Duin and Haeb-Umbach (2001), "Multiclass linear dimension reduction by
    weighted pairwise Fisher criteria", IEEE Transactions on Pattern Analysis and Machine Intelligence 23(7).

    Args:
        reduced: Reduced features of photos, of shape (N, k), the components of most variance first.
        labels: Their labels, of shape (N,).

    Returns:
        The projected photos, of shape (N, 2), in standard deviations within a label. None if there are fewer than two
        labels or fewer than two numbers, or if in each label all photos are the same.
    """
    names, number = np.unique(labels, return_inverse=True)
    used = reduced[:, : max(2, len(reduced) // _PHOTOS_A_NUMBER)].astype(np.float64)
    if len(names) < 2 or used.shape[1] < 2:
        return None
    counts = np.bincount(number)
    means = np.stack([used[number == one].mean(axis=0) for one in range(len(names))])
    within = _covariance_within(used - means[number], len(names))
    if within is None:
        return None
    whitening = np.linalg.inv(np.linalg.cholesky(within)).T
    between = _weighted_scatter(means @ whitening, counts / counts.sum())
    axes = np.linalg.eigh(between).eigenvectors[:, [-1, -2]]
    projected: Matrix = (used - used.mean(axis=0)) @ whitening @ axes
    return projected


def _covariance_within(deviations: Matrix, labels: int) -> Matrix | None:
    """Returns the covariance of photos about their labels' means, shrunk towards its diagonal if photos are few."""
    photos, numbers = deviations.shape
    covariance = deviations.T @ deviations / photos
    variances = np.diag(covariance)
    if not variances.max() > 0:
        return None
    share = numbers / (numbers + photos - labels)
    # A number that does not vary within any label needs a positive variance: the result is divided by it.
    diagonal = np.diag(np.maximum(variances, _LEAST_VARIANCE * variances.max()))
    shrunk: Matrix = (1 - share) * covariance + share * diagonal
    return shrunk


def _weighted_scatter(means: Matrix, shares: Matrix) -> Matrix:
    """Returns the scatter of the labels' means, with the pair weights of Loog et al. (their equation 14).

    Args:
        means: Means of the labels in standard deviations within a label, of shape (labels, numbers).
        shares: Share of the photos that each label has.
    """
    distances = np.sqrt(np.square(means[:, np.newaxis] - means).sum(axis=2))
    # Avoid a division by zero for labels with equal means: their difference is zero, so their weight has no effect.
    distances[distances == 0] = 1
    weights = np.outer(shares, shares) * np.vectorize(erf)(distances / (2 * sqrt(2))) / (2 * distances**2)
    np.fill_diagonal(weights, 0)
    scatter: Matrix = means.T @ (np.diag(weights.sum(axis=1)) - weights) @ means
    return scatter
