"""Two axes that tell labels apart: what a PCA, which knows of no labels, does not look for."""

from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from spark_steps.pca.moments import Matrix

# Photos for each number that is used: with fewer, photos of labels given at random are told apart too.
_PHOTOS_A_NUMBER = 10
_LEAST_VARIANCE = 1e-6


def separated(reduced: NDArray[np.floating], labels: NDArray[np.str_]) -> Matrix | None:
    """Projects photos on the two axes that tell the most pairs of labels apart.

    A linear discriminant analysis whose pairs of labels are weighted by how likely they are mistaken for each other:
    without the weights the two axes belong to the few labels that lie far from all others, and the rest is one heap.
    Of Loog, Duin and Haeb-Umbach (2001), "Multiclass linear dimension reduction by weighted pairwise Fisher criteria",
    IEEE Transactions on Pattern Analysis and Machine Intelligence 23(7).

    Args:
        reduced: Reduced features of photos, of shape (N, k), the components of most variance first.
        labels: Their labels, of shape (N,).

    Returns:
        Of shape (N, 2), in standard deviations within a label; None where there is nothing to tell apart: fewer than
        two labels, fewer than two numbers, or no label whose photos differ.
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
    """Returns the covariance of photos about their labels' means, drawn towards its diagonal where photos are few."""
    photos, numbers = deviations.shape
    covariance = deviations.T @ deviations / photos
    variances = np.diag(covariance)
    if not variances.max() > 0:
        return None
    share = numbers / (numbers + photos - labels)
    # A number that does not vary within any label has no unit to be measured in.
    diagonal = np.diag(np.maximum(variances, _LEAST_VARIANCE * variances.max()))
    shrunk: Matrix = (1 - share) * covariance + share * diagonal
    return shrunk


def _weighted_scatter(means: Matrix, shares: Matrix) -> Matrix:
    """Returns the scatter of the labels' means, each pair weighted as Loog and others do (their equation 14).

    Args:
        means: In standard deviations within a label, of shape (labels, numbers).
        shares: Share of the photos that each label has.
    """
    distances = np.sqrt(np.square(means[:, np.newaxis] - means).sum(axis=2))
    # Pairs in one place, and each label with itself, have no difference that a weight could matter for.
    distances[distances == 0] = 1
    weights = np.outer(shares, shares) * np.vectorize(erf)(distances / (2 * sqrt(2))) / (2 * distances**2)
    np.fill_diagonal(weights, 0)
    scatter: Matrix = means.T @ (np.diag(weights.sum(axis=1)) - weights) @ means
    return scatter
