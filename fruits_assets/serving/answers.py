"""What the server answers, by the names of ``fruits identify --json``; the page and the schema are made of these."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from fruits_assets.serving.served import ServedStore
from spark_steps.queries.neighbours import Near, labels_of


class VerdictAnswer(BaseModel):
    """The label of a photo, as derived from its nearest photos."""

    label: str | None = Field(description="Its label; null if it is not known.")
    distance: float = Field(description="Distance of the nearest photo, in the reduced features.")
    threshold: float | None = Field(
        description="The distance below which the label is known; null if all photos have the same label."
    )
    candidates: list[str] = Field(description="The nearest label, and the nearest other one if there is one.")


class LabelAnswer(BaseModel):
    """A label near the photo."""

    label: str
    distance: float = Field(description="Distance of its nearest photo.")
    photos: int = Field(description="Number of the neighbours that have it.")
    nearest: str | None = Field(None, description="Path of its nearest photo; only with `paths=true`.")


class NeighbourAnswer(BaseModel):
    """A photo of the store near the photo."""

    distance: float
    label: str
    path: str | None = Field(None, description="Its path below the images folder; only with `paths=true`.")
    image_id: str | None = Field(None, description="sha256 of its bytes; only with `paths=true`.")


class IdentifyAnswer(BaseModel):
    """A photo, and what of the store is near it."""

    image_id: str = Field(description="sha256 of the photo's bytes.")
    verdict: VerdictAnswer
    labels: list[LabelAnswer] = Field(description="The labels of the neighbours, and the next one; the nearest first.")
    neighbours: list[NeighbourAnswer] = Field(description="The nearest photos, the nearest first.")
    reduced: list[float] | None = Field(None, description="The photo's reduced features; only with `reduced=true`.")
    pca_model: str = Field(description="Version of the PCA model.")
    network: str = Field(description="Fingerprint of the network.")
    tables: dict[str, int] = Field(description="Versions of the tables whose photos were compared with.")
    photos_compared_with: int
    photos_projected: int = Field(description="Those that were projected, as their folder is not reduced yet.")
    search: Literal["exact", "index"] = Field(
        description="Whether all photos were looked at, or those that an approximate index proposed."
    )


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class Health(BaseModel):
    """The process is alive."""

    alive: bool = True


class Readiness(BaseModel):
    """Whether photos are answered, and from which version of the store."""

    ready: bool
    pca_model: str | None = None
    tables: dict[str, int] = {}
    problem: str | None = Field(
        None, description="Why the newest version of the store does not answer; null if it does."
    )


def as_answer(
    image_id: str, near: Near, numbers: list[float], served: ServedStore, *, reduced: bool, paths: bool
) -> dict[str, Any]:
    """Returns the answer for a photo, as JSON takes it.

    Args:
        image_id: sha256 of the photo.
        near: The photos near it.
        numbers: Its reduced features.
        served: What was searched.
        reduced: Whether the answer has the numbers.
        paths: Whether it has paths and image ids of photos.
    """
    verdict = near.verdict
    labels = [{"label": one.label, "distance": one.distance, "photos": one.photos} for one in labels_of(near)]
    neighbours: list[dict[str, Any]] = [{"distance": one.distance, "label": one.label} for one in near.neighbours]
    if paths:
        for label, of in zip(labels, labels_of(near), strict=True):
            label["nearest"] = of.nearest
        for neighbour, found in zip(neighbours, near.neighbours, strict=True):
            neighbour |= {"path": found.path, "image_id": found.image_id}
    return {
        "image_id": image_id,
        "verdict": {
            "label": verdict.label,
            "distance": verdict.distance,
            "threshold": verdict.threshold,
            "candidates": list(verdict.candidates),
        },
        "labels": labels,
        "neighbours": neighbours,
        **({"reduced": numbers} if reduced else {}),
        "pca_model": served.pca.version,
        "network": served.pca.features_model,
        "tables": dict(served.version.tables),
        "photos_compared_with": served.index.photos,
        "photos_projected": served.projected,
        "search": "exact" if served.index.approximate is None else "index",
    }
