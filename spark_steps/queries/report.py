"""A report of the contents of a store in numbers, for the command, the UI and scripts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from spark_steps.errors import FruitsError
from spark_steps.pca.model import ANALYSED_COMPONENTS, DEFAULT_COMPONENTS, PcaModel
from spark_steps.store.staleness import Staleness, staleness_of
from spark_steps.store.store import Moment, Store
from spark_steps.store.summaries import rejected_photos, summarise, total


@dataclass(frozen=True)
class StoreReport:
    """The contents of a store.

    Attributes:
        store: Its location.
        folders: Number of image folders.
        photos: Number of photos found.
        photos_by_folder: Number of photos found, by folder.
        usable: Number of photos that have features.
        rejected: Number of photos without features, by reason.
        rejected_photos: All photos without features, each with its ``path`` and ``error``, sorted by path.
        stale: The stale parts of the store.
        reduced: Number of photos that have reduced features.
        pca_model: Version of the PCA model, None before there is one. The following five are then None or empty, too.
        components: Number of components kept.
        variance_kept: Share of the variance that they keep.
        variance_at: Share of the variance that 50 and 350 components keep, or all components if there are fewer.
        components_for: Components needed for 90, 95 and 99 % of the variance.
        weights: Source and sha256 of the network's weights.
        bytes: Size of the photos, of their features and of their reduced features.
        as_of: The moment whose versions were read, None for the newest.
        passed_over: Number of files that are no photos, by ending, when the folders were last listed.
        to_convert: Folders with photos of unreadable formats alone: number of files by ending.
    """

    store: str
    folders: int
    photos: int
    photos_by_folder: dict[str, int]
    usable: int
    rejected: dict[str, int]
    rejected_photos: list[dict[str, str]]
    stale: Staleness
    reduced: int
    pca_model: str | None = None
    components: int | None = None
    variance_kept: float | None = None
    variance_at: dict[str, float] = field(default_factory=dict)
    components_for: dict[str, int] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    as_of: Moment | None = None
    passed_over: dict[str, int] = field(default_factory=dict)
    to_convert: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns the report as JSON takes it."""
        moment = self.as_of
        return {
            **asdict(self),
            "as_of": moment and {"time": f"{moment.at:%Y-%m-%dT%H:%M:%SZ}", "versions": dict(moment.versions)},
        }


def read_report(root: str, as_of: Moment | None = None) -> StoreReport:
    """Returns the report of a store.

    Args:
        root: The store, a normalised location.
        as_of: The moment whose versions are read; None for the newest.

    Raises:
        FruitsError: There is no store, or it has no photo.
    """
    store = Store(root, as_of)
    found = summarise(store.raw_images)
    if not any(summary.rows for summary in found.values()):
        raise FruitsError(
            f"At {as_of} the store {root} had no photo. {store.remedy}"
            if as_of
            else f"There is no store at {root}, or no photo in it. Make one: fruits run --images DIR --store DIR"
        )
    images, passed_over = store.images or ".", store.passed_over
    raw, features, reduced = (
        total(found),
        total(summarise(store.mobilenet_features)),
        total(summarise(store.reduced_features)),
    )
    return StoreReport(
        store=root,
        folders=len(found),
        photos=raw.rows,
        photos_by_folder={folder: summary.rows for folder, summary in found.items()},
        usable=features.usable.count,
        rejected=dict(Counter(features.reasons).most_common()),
        rejected_photos=[
            {"path": f"{images}/{path}", "error": error} for path, error in rejected_photos(store.mobilenet_features)
        ],
        passed_over=passed_over.endings,
        to_convert={folder: dict(endings) for folder, endings in passed_over.to_convert(found).items()},
        stale=staleness_of(store),
        reduced=reduced.rows,
        as_of=as_of,
        bytes={"photos": raw.photo_bytes, "features": features.table_bytes, "reduced": reduced.table_bytes},
        **_pca_figures(store),
    )


def _pca_figures(store: Store) -> dict[str, Any]:
    if (model := store.pca_model()) is None:
        return {}
    return {
        "pca_model": model.version,
        "components": model.k,
        "variance_kept": model.explained_at(model.k),
        "variance_at": {str(at): model.explained_at(at) for at in measured_at(model)},
        "components_for": {f"{share:.0%}": model.components_for(share) for share in (0.9, 0.95, 0.99)},
        "weights": dict(model.weights),
    }


def measured_at(model: PcaModel) -> list[int]:
    """Returns the numbers of components for which the variance is reported: 50 and 350, or all if there are fewer."""
    there_are = len(model.explained_variance_ratio)
    return sorted({min(at, there_are) for at in (DEFAULT_COMPONENTS, ANALYSED_COMPONENTS)})


def human(size: float) -> str:
    """Formats a number of bytes for people, such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
