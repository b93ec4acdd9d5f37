"""scikit-learn's ``StandardScaler`` and ``PCA``, all rows in memory."""

import time

from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from benchmarks.harness.feature_files import read_features
from benchmarks.harness.job import COMPONENTS, read_job, tell


def main() -> None:
    """Tells how long reading and fitting take."""
    job = read_job()
    start = time.perf_counter()
    _, features = read_features(f"{job.data}/Results/mobilenet_features")
    # In double precision, as the others; float32 is faster and agrees to six digits.
    scaled = StandardScaler().fit_transform(features.astype("float64"))
    model = PCA(n_components=COMPONENTS, svd_solver="covariance_eigh").fit(scaled)
    tell(fit_seconds=time.perf_counter() - start, explained=model.explained_variance_ratio_.tolist())


if __name__ == "__main__":
    main()
