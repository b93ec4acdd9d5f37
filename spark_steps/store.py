"""Where everything lies in a store: the layout that Dagster, the command line and notebooks share."""

from dataclasses import dataclass
from datetime import datetime

from spark_steps import storage
from spark_steps.errors import FruitsError
from spark_steps.schemas import FEATURES_SCHEMA, RAW_IMAGES_SCHEMA, REDUCED_SCHEMA
from spark_steps.tables import FolderTable

# The images root of the photos that raw_images lists: a property of that table.
_ROOT_PROPERTY = "fruits.images"
_FOLDERS_LOOKED_AT = 20


@dataclass(frozen=True)
class Store:
    """The places of a store.

    Attributes:
        root: A normalised place.
        as_of: The moment as which its tables are read; None for now.
    """

    root: str
    as_of: datetime | None = None

    @property
    def images(self) -> str | None:
        """The images root that the paths in the tables are relative to; None before there is a photo."""
        return dict(self.raw_images.snapshot().properties).get(_ROOT_PROPERTY)

    def location(self, path: str) -> str:
        """Returns where a photo of the tables lies."""
        return f"{self.images or '.'}/{path}"

    def check_images(self, images: str) -> None:
        """Raises a FruitsError if the store holds photos of another images root: one store, one root.

        Args:
            images: The images root, a normalised place.
        """
        if (known := self.images) not in (None, images):
            raise FruitsError(
                f"The store {self.root} holds the photos of {known}, and not those of {images}. Use another store for "
                f"these; if they are the same photos in a new place, tell the store: fruits run --images {images} "
                f"--store {self.root}"
            )

    def claim_images(self, images: str) -> None:
        """Makes a place the images root of a new store; raises a FruitsError if the store has another.

        Args:
            images: The images root, a normalised place.
        """
        if self.images is None:
            self.use_images(images)
        self.check_images(images)

    def use_images(self, images: str) -> str | None:
        """Makes a place the images root of the store: of a new one, or of one whose photos have moved there.

        Args:
            images: The images root, a normalised place.

        Returns:
            A sentence on what was found where the photos have moved; else None.

        Raises:
            FruitsError: Most photos of the store do not lie there, by path and length.
        """
        known, raw = self.images, self.raw_images
        if known == images:
            return None
        told = None
        if known is not None:
            there, looked_for = self._found_below(images)
            if looked_for and 2 * there < looked_for:
                raise FruitsError(
                    f"The store {self.root} holds the photos of {known}. Of {looked_for:,} of them {there:,} lie below "
                    f"{images} too. Use another store for these photos."
                )
            told = (
                f"The photos of {self.root} have moved from {known} to {images}: of {looked_for:,} looked for, "
                f"{there:,} lie there."
            )
        raw.log.create()
        if not raw.log.set_property(_ROOT_PROPERTY, images, known):
            self.check_images(images)
        return told

    def _found_below(self, images: str) -> tuple[int, int]:
        """Returns how many photos of some folders lie below a place, by path and length, and of how many."""
        folders = self.raw_images.folders()[:_FOLDERS_LOOKED_AT]
        rows = self.raw_images.arrow(["path", "length"], folders)
        known = set(zip(rows["path"].to_pylist(), rows["length"].to_pylist(), strict=True))
        there = {
            (f"{folder}/{info.base_name}", info.size)
            for folder in folders
            for info in storage.list_files(f"{images}/{folder}")
        }
        return len(known & there), len(known)

    @property
    def raw_images(self) -> FolderTable:
        """One row for each photo found."""
        return FolderTable(f"{self.root}/Results/raw_images", RAW_IMAGES_SCHEMA, self.as_of)

    @property
    def mobilenet_features(self) -> FolderTable:
        """One row for each row of raw_images: 1280 features, or the reason why not."""
        return FolderTable(f"{self.root}/Results/mobilenet_features", FEATURES_SCHEMA, self.as_of)

    @property
    def reduced_features(self) -> FolderTable:
        """One row for each photo with features: its k numbers."""
        return FolderTable(f"{self.root}/PCA_Results/reduced_features", REDUCED_SCHEMA, self.as_of)

    @property
    def tables(self) -> dict[str, FolderTable]:
        """The tables by name, in the order in which they are made."""
        return {
            "raw_images": self.raw_images,
            "mobilenet_features": self.mobilenet_features,
            "reduced_features": self.reduced_features,
        }

    @property
    def mobilenet_models(self) -> str:
        """Directory of the converted networks."""
        return f"{self.root}/Results/mobilenet_model"

    @property
    def pca_models(self) -> str:
        """Directory of the PCA models."""
        return f"{self.root}/PCA_Results/pca_model"

    @property
    def erasures(self) -> str:
        """Directory of what is kept of erasures: a receipt of each, and in ``unfinished`` what is still to be done."""
        return f"{self.root}/Erasures"

    @property
    def tombstones(self) -> str:
        """Directory of the tombstones of erased photos."""
        return f"{self.erasures}/tombstones"
