"""Every setting of the platform, from the environment (``FRUITS_*``) or a ``.env`` file, checked when it is read."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from spark_steps import storage
from spark_steps.errors import FruitsError
from spark_steps.images import FetchLimits
from spark_steps.mobilenet import DecodeLimits
from spark_steps.pca import DEFAULT_COMPONENTS, PcaSettings

MEBIBYTE = 1024 * 1024


def _local_place(location: str) -> str:
    try:
        place = storage.normalise(location)
    except FruitsError as error:
        raise ValueError(str(error)) from error
    if "://" in place:
        raise ValueError(
            f"{place} is no folder of this machine, and the local deployment works on folders. Give a path."
        )
    return place


Place = Annotated[str, AfterValidator(_local_place)]


class Settings(BaseSettings):
    """The settings; a field ``images`` is the environment variable ``FRUITS_IMAGES``."""

    model_config = SettingsConfigDict(env_prefix="FRUITS_", env_file=".env", extra="ignore", frozen=True)

    deployment: Literal["local"] = Field("local", description="Where the steps run.")
    images: Place = Field(
        "sample/photos", description="Folder whose subfolders hold the photos.", validate_default=True
    )
    store: Place = Field("sample/store", description="Folder of all results.", validate_default=True)
    weights: str = Field(
        "imagenet", description="imagenet, a path of an .h5, .keras or .tflite file, or random:<seed>."
    )
    components: int = Field(DEFAULT_COMPONENTS, ge=1, le=1280, description="PCA components to keep.")
    variance: float | None = Field(
        None, gt=0, le=1, description="Share of variance to keep, in place of a number of components."
    )
    variance_warning: float = Field(
        0.7, gt=0, le=1, description="Share of variance below which the check on pca_model warns."
    )

    cores: str = Field("*", pattern=r"^(\*|[1-9]\d*)$", description="Cores for Spark: a number, or * for all.")
    driver_memory: str = Field("1g", pattern=r"^[1-9]\d*[mg]$", description="Heap of Spark's JVM.")
    max_photo_megabytes: int = Field(64, ge=1, le=1024, description="Larger photos are not read.")
    max_photo_megapixels: int = Field(
        120, ge=1, le=1000, description="Photos of more pixels are not decoded; 120 take about 600 MB in a worker."
    )
    photos_ahead: int = Field(8, ge=1, le=256, description="Photos a worker fetches ahead of the network.")
    megabytes_ahead: int = Field(64, ge=1, le=4096, description="Bytes a worker holds ahead of the network.")

    core_nodes: int = Field(2, ge=2, le=4, description="Core nodes of the cluster that costs are estimated for.")
    usd_to_eur: float = Field(0.92, gt=0, description="Euros for a dollar, for prices quoted in dollars.")

    @property
    def decode_limits(self) -> DecodeLimits:
        """What a worker may read and decode."""
        max_bytes = self.max_photo_megabytes * MEBIBYTE
        ahead = FetchLimits(self.photos_ahead, self.megabytes_ahead * MEBIBYTE, max_bytes)
        return DecodeLimits(ahead, self.max_photo_megapixels * 1_000_000)

    @property
    def pca(self) -> PcaSettings:
        """How many components to keep."""
        return PcaSettings(self.components, self.variance)


def read_settings(**given: Any) -> Settings:
    """Returns the settings, those given before those of the environment.

    Raises:
        FruitsError: One is out of bounds; the message names it.
    """
    try:
        values = {name: value for name, value in given.items() if value is not None}
        if "components" in values:
            # Asking for a number of components here goes before a share of variance asked for in the environment.
            values.setdefault("variance", None)
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise FruitsError(
            f"Setting {name} (FRUITS_{name.upper()}) = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
