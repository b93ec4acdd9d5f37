"""Where everything lies in a store: the layout that Dagster, the command line and notebooks share."""

from dataclasses import dataclass

from spark_steps.errors import FruitsError
from spark_steps.schemas import FEATURES_SCHEMA, RAW_IMAGES_SCHEMA, REDUCED_SCHEMA
from spark_steps.tables import FolderTable


@dataclass(frozen=True)
class Store:
    """The places of a store.

    Attributes:
        root: A normalised place.
    """

    root: str

    def check_images(self, images: str) -> None:
        """Raises a FruitsError if the store holds photos of another images root: one store, one root.

        Args:
            images: The images root, a normalised place.
        """
        # The first folder says it, in nearly all stores; the footers of all would be thousands of requests on S3.
        found = ((folder, self.raw_images.arrow(["path"], [folder])) for folder in self.raw_images.folders())
        folder, paths = next(((folder, paths) for folder, paths in found if paths.num_rows), ("", None))
        if paths is None:
            return
        path = str(paths["path"][0])
        # The whole folder, not only a prefix: the parent of the root, or a subfolder, is another root too.
        if path.rpartition("/")[0] != f"{images}/{folder}":
            raise FruitsError(
                f"The store {self.root} holds photos from elsewhere, such as {path}, and none of {images}. "
                "Use another store for these photos."
            )

    @property
    def raw_images(self) -> FolderTable:
        """One row for each photo found."""
        return FolderTable(f"{self.root}/Results/raw_images", RAW_IMAGES_SCHEMA)

    @property
    def mobilenet_features(self) -> FolderTable:
        """One row for each row of raw_images: 1280 features, or the reason why not."""
        return FolderTable(f"{self.root}/Results/mobilenet_features", FEATURES_SCHEMA)

    @property
    def reduced_features(self) -> FolderTable:
        """One row for each photo with features: its k numbers."""
        return FolderTable(f"{self.root}/PCA_Results/reduced_features", REDUCED_SCHEMA)

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
