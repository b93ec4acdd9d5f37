"""What a store holds, told from its files alone: no Spark, no Dagster."""

from dataclasses import asdict, dataclass, field
from typing import Any

from spark_steps import pca_store, storage
from spark_steps.errors import FruitsError
from spark_steps.pca import ANALYSED_COMPONENTS
from spark_steps.photos import reasons
from spark_steps.store import Store
from spark_steps.tables import rows_by_folder


@dataclass(frozen=True)
class StoreReport:
    """The contents of a store.

    Attributes:
        store: Where it is.
        folders: Image folders.
        photos: Photos found.
        photos_by_folder: The same by folder.
        usable: Photos that have features.
        rejected: Photos that have none, by reason.
        reduced: Photos that have reduced features.
        pca_model: Version of the PCA model, None before there is one; so are the figures that follow.
        components: Components kept.
        variance_kept: Share of the variance they keep.
        variance_at: The same for 50 and for 350 components.
        components_for: Components needed for 90, 95 and 99 %.
        weights: Source and sha256 of the network's weights.
        bytes: Size of the photos, of their features and of their reduced features.
    """

    store: str
    folders: int
    photos: int
    photos_by_folder: dict[str, int]
    usable: int
    rejected: dict[str, int]
    reduced: int
    pca_model: str | None = None
    components: int | None = None
    variance_kept: float | None = None
    variance_at: dict[str, float] = field(default_factory=dict)
    components_for: dict[str, int] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns the report as JSON takes it."""
        return asdict(self)


def read_report(root: str) -> StoreReport:
    """Reads a store.

    Args:
        root: The store, a normalised place.

    Raises:
        FruitsError: There is no store.
    """
    store = Store(root)
    files = store.raw_images.files()
    if not files:
        raise FruitsError(
            f"There is no store at {root}, or no photo in it. Make one: fruits run --images DIR --store DIR"
        )
    by_folder = dict(rows_by_folder(files))
    errors = store.mobilenet_features.arrow(["error"])["error"]
    rejected = reasons(errors.drop_null().to_pylist())
    return StoreReport(
        store=root,
        folders=len(by_folder),
        photos=sum(by_folder.values()),
        photos_by_folder=by_folder,
        usable=errors.null_count,
        rejected=dict(rejected.most_common()),
        reduced=sum(file.rows for file in store.reduced_features.files()),
        bytes={
            "photos": sum(store.raw_images.photo_bytes().values()),
            "features": storage.directory_size(store.mobilenet_features.root),
            "reduced": storage.directory_size(store.reduced_features.root),
        },
        **_pca_figures(store),
    )


def _pca_figures(store: Store) -> dict[str, Any]:
    if pca_store.current_version(store.pca_models) is None:
        return {}
    model = pca_store.load(store.pca_models)
    return {
        "pca_model": model.version,
        "components": model.k,
        "variance_kept": model.explained_at(model.k),
        "variance_at": {str(at): model.explained_at(at) for at in (50, ANALYSED_COMPONENTS)},
        "components_for": {f"{share:.0%}": model.components_for(share) for share in (0.9, 0.95, 0.99)},
        "weights": dict(model.weights),
    }


def as_text(report: StoreReport) -> str:
    """Returns the report for people."""
    lines = [
        f"Store       {report.store}",
        f"Photos      {report.photos:,} in {report.folders:,} folders, {report.usable:,} usable",
        "Rejected    " + (", ".join(f"{count:,} {reason}" for reason, count in report.rejected.items()) or "none"),
        f"Reduced     {report.reduced:,} photos",
    ]
    if report.pca_model:
        at, needed = report.variance_at, report.components_for
        most = str(ANALYSED_COMPONENTS)
        lines += [
            f"PCA model   {report.pca_model}",
            f"Variance    {report.variance_kept:.1%} kept by {report.components} components",
            f"            {at['50']:.1%} by 50, {at[most]:.1%} by {most}",
            "            " + ", ".join(f"{share} needs {count}" for share, count in needed.items()) + " components",
            f"Weights     {report.weights.get('source')}, sha256 {report.weights.get('sha256')}",
        ]
    sizes = report.bytes
    line = "Size        " + ", ".join(f"{name} {human(size)}" for name, size in sizes.items())
    if sizes["photos"] and sizes["reduced"]:
        line += f" ({sizes['reduced'] / sizes['photos']:.1%} of the photos)"
    return "\n".join([*lines, line])


def human(size: float) -> str:
    """Returns a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
