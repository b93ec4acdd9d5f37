"""The layout of a store, which Dagster, the command line and notebooks share."""

import shlex
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from spark_steps.errors import FruitsError
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel
from spark_steps.photos.other_files import PassedOver
from spark_steps.storage import locations
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import (
    AUDIT_SCHEMA,
    FEATURES_SCHEMA,
    RAW_IMAGES_SCHEMA,
    REDUCED_SCHEMA,
    SPLITS_SCHEMA,
)
from spark_steps.tables.totals import read_totals

# Property of the table raw_images: the images root of the photos that it lists.
IMAGES_PROPERTY = "fruits.images"
_FOLDERS_LOOKED_AT = 20


@dataclass(frozen=True)
class Moment:
    """A moment of a store's past.

    Attributes:
        at: The moment.
        versions: The version of each table at the moment, by the table's name, in the order in which the tables are
            made; -1 if there was no table yet.
    """

    at: datetime
    versions: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Store:
    """The locations of a store.

    Attributes:
        root: A normalised location.
        as_of: The moment whose versions are read; None for the newest versions.
    """

    root: str
    as_of: Moment | None = None

    @property
    def images(self) -> str | None:
        """The images root that the paths in the tables are relative to; None before there is a photo."""
        return dict(self.raw_images.snapshot().properties).get(IMAGES_PROPERTY)

    def check_images(self, images: str) -> None:
        """Raises a FruitsError if the store has another images root: a store has exactly one.

        Args:
            images: The images root, a normalised location.
        """
        if (known := self.images) not in (None, images):
            raise FruitsError(
                f"The store {self.root} holds the photos of {known}, and not those of {images}. Use another store for "
                "these. If they are the same photos in a new place, start sync_image_folders or fruits run with that "
                "location: both look for them there."
            )

    def claim_images(self, images: str) -> None:
        """Sets the images root of a new store; raises a FruitsError if the store has another one.

        Args:
            images: The images root, a normalised location.
        """
        if self.images is None:
            self.use_images(images)
        self.check_images(images)

    def use_images(self, images: str) -> str | None:
        """Sets the images root of the store: a new store, or a store whose photos have moved to this location.

        Args:
            images: The images root, a normalised location.

        Returns:
            A message with the number of photos found there, if the photos have moved; else None.

        Raises:
            FruitsError: Most photos of the store are not at that location, by path and length.
        """
        known, raw = self.images, self.raw_images
        if known == images:
            return None
        message = None
        if known is not None:
            there, looked_for = self._found_below(images)
            if looked_for and 2 * there < looked_for:
                raise FruitsError(
                    f"The store {self.root} holds the photos of {known}. Of {looked_for:,} of them {there:,} lie below "
                    f"{images} too. Use another store for these photos."
                )
            message = (
                f"The photos of {self.root} have moved from {known} to {images}: of {looked_for:,} looked for, "
                f"{there:,} lie there."
            )
        raw.log.create()
        if not raw.log.set_property(IMAGES_PROPERTY, images, known):
            self.check_images(images)
        return message

    def _found_below(self, images: str) -> tuple[int, int]:
        """Looks for the photos of some folders below a location; returns how many are found, and how many there are.

        A photo is found if path and length are the same.
        """
        folders = self.raw_images.folders()[:_FOLDERS_LOOKED_AT]
        rows = self.raw_images.arrow(["path", "length"], folders)
        known = set(zip(rows["path"].to_pylist(), rows["length"].to_pylist(), strict=True))
        there = {
            (f"{folder}/{info.base_name}", info.size)
            for folder in folders
            for info in locations.list_files(f"{images}/{folder}")
        }
        return len(known & there), len(known)

    @property
    def passed_over(self) -> PassedOver:
        """The files that the last listing of the images root passed over; none are known of a former moment."""
        # Whoever can write the file can make it anything: a report says nothing of it then.
        with suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
            if self.as_of is None:
                read = locations.read_json(self._passed_over)
                return PassedOver({folder: {str(one): int(n) for one, n in of.items()} for folder, of in read.items()})
        return PassedOver()

    def keep_passed_over(self, found: PassedOver) -> None:
        """Writes down what a listing passed over: numbers of files by folder and ending, and no name of a file."""
        by_folder = {folder: dict(endings) for folder, endings in found.by_folder.items()}
        if by_folder != self.passed_over.by_folder:
            locations.write_json(self._passed_over, by_folder)

    @property
    def _passed_over(self) -> str:
        return f"{self.root}/Results/passed_over.json"

    def pca_model(self) -> PcaModel | None:
        """Returns the current PCA model of the store, None before there is one.

        For a former moment, returns the model that photos were last reduced by.

        Raises:
            FruitsError: Files of the model are missing.
        """
        if self.as_of is None:
            version = model_store.current_version(self.pca_models)
            return model_store.load(self.pca_models, version) if version else None
        version = self._last_reduced_by()
        if version and not model_store.exists(self.pca_models, version):
            raise FruitsError(
                f"PCA model {version}, by which the photos of {self.root} were reduced at {self.as_of}, is no longer "
                f"there. {self.remedy}"
            )
        return model_store.load(self.pca_models, version) if version else None

    def existing_pca_model(self) -> PcaModel:
        """Returns the PCA model of the store, as ``pca_model`` does.

        Raises:
            FruitsError: There is none.
        """
        if (model := self.pca_model()) is not None:
            return model
        if self.as_of is not None:
            raise FruitsError(f"At {self.as_of} no photo of {self.root} had reduced features. {self.remedy}")
        raise FruitsError(
            f"There is no store at {self.root}, or it has no PCA model yet. "
            f"Make one: fruits run --images DIR {self.option}"
        )

    def _last_reduced_by(self) -> str | None:
        table = self.reduced_features
        newest = max(table.files(), key=lambda file: file.added, default=None)
        if newest is None:
            return None
        with table.reading(newest) as opened:
            return max(read_totals(opened).made_by, default=None)

    @property
    def option(self) -> str:
        """The option that names the store, for a command in a message that people copy into a shell."""
        return f"--store {shlex.quote(self.root)}"

    @property
    def remedy(self) -> str:
        """The remedy if something in the store is missing or stale, as a sentence."""
        if self.as_of is not None:
            return f"Give another moment; these are listed by: fruits history {self.option}"
        return f"Bring the store up to date: fruits run --images DIR {self.option}"

    def _table(self, directory: str, schema: pa.Schema) -> FolderTable:
        version = None if self.as_of is None else dict(self.as_of.versions)[directory.rpartition("/")[2]]
        return FolderTable(f"{self.root}/{directory}", schema, version)

    @property
    def raw_images(self) -> FolderTable:
        """One row for each photo found."""
        return self._table("Results/raw_images", RAW_IMAGES_SCHEMA)

    @property
    def mobilenet_features(self) -> FolderTable:
        """One row for each row of raw_images: its features, or the reason why there are none."""
        return self._table("Results/mobilenet_features", FEATURES_SCHEMA)

    @property
    def reduced_features(self) -> FolderTable:
        """One row for each photo with features: its k numbers."""
        return self._table("PCA_Results/reduced_features", REDUCED_SCHEMA)

    @property
    def photo_splits(self) -> FolderTable:
        """One row for each photo with features: its group of near-duplicates and its split."""
        return self._table("Results/photo_splits", SPLITS_SCHEMA)

    @property
    def photo_audit(self) -> FolderTable:
        """One row for each finding of the audit."""
        return self._table("Results/photo_audit", AUDIT_SCHEMA)

    @property
    def tables(self) -> dict[str, FolderTable]:
        """The tables by name, in the order in which they are made; some may not be there yet."""
        return {
            "raw_images": self.raw_images,
            "mobilenet_features": self.mobilenet_features,
            "reduced_features": self.reduced_features,
            "photo_splits": self.photo_splits,
            "photo_audit": self.photo_audit,
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
        """Directory of the erasures' receipts, with the notes of unfinished erasures in ``unfinished``."""
        return f"{self.root}/Erasures"

    @property
    def tombstones(self) -> str:
        """Directory of the tombstones of erased photos."""
        return f"{self.erasures}/tombstones"
