"""Every setting of the platform, from the environment (``FRUITS_*``) or a ``.env`` file, checked when it is read."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fruits_assets.settings.audit import AuditOptions
from fruits_assets.settings.aws import EU_REGIONS, AwsOptions
from fruits_assets.settings.serving import ServingOptions
from spark_steps.environment import export
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.features.names import MOST_FEATURES, TF, check_scaling
from spark_steps.photos.limits import DecodeLimits, FetchLimits
from spark_steps.spark.session import local_spark_config
from spark_steps.storage import parallel

if TYPE_CHECKING:
    from spark_steps.pca.model import PcaSettings
    from spark_steps.tables.maintenance import MaintenanceLimits

__all__ = ["DEPLOYMENTS", "EU_REGIONS", "MEBIBYTE", "Settings", "read_settings"]

MEBIBYTE = 1024 * 1024


def _place(location: str) -> str:
    # Imported here, and others below: they import pyarrow and numpy, which take a third of a second, and --help reads
    # no setting.
    from spark_steps.storage import locations

    try:
        return locations.normalise(location)
    except FruitsError as error:
        raise ValueError(str(error)) from error


def _weights(source: str) -> str:
    # What is wrong besides is told where they are read.
    if "://" in source:
        _place(source)
    return source


Place = Annotated[str, AfterValidator(_place)]
Deployment = Literal["local", "emr", "emr-serverless", "glue", "databricks"]
DEPLOYMENTS: tuple[str, ...] = get_args(Deployment)


class Settings(AuditOptions, ServingOptions, AwsOptions, BaseSettings):
    """The settings; a field ``images`` is the environment variable ``FRUITS_IMAGES``."""

    model_config = SettingsConfigDict(
        env_prefix="FRUITS_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        # Fields with an alias are given by their names too.
        populate_by_name=True,
    )

    # Where the steps run
    deployment: Deployment = Field("local", description="Where the steps run.")

    # Photos
    images: Place = Field(
        "sample/photos",
        description="Folder whose subfolders hold the photos, or s3://bucket/prefix.",
        validate_default=True,
    )
    max_photo_megabytes: int = Field(64, ge=1, le=1024, description="Larger photos are not read.")
    max_photo_megapixels: int = Field(
        120, ge=1, le=1000, description="Photos of more pixels are not decoded; 120 take up to 0.9 GB in a worker."
    )
    photos_ahead: int = Field(32, ge=1, le=256, description="Photos a worker fetches ahead of the network.")
    megabytes_ahead: int = Field(64, ge=1, le=4096, description="Bytes a worker holds ahead of the network.")
    rejected_warning: float = Field(
        0.01, ge=0, le=1, description="Share of rejected photos above which the check on mobilenet_features warns."
    )
    candidates_warning: float = Field(
        0.01, ge=0, le=1, description="Share of label candidates above which the check on photo_audit warns."
    )

    # Features and PCA
    weights: Annotated[str, AfterValidator(_weights)] | None = Field(
        None,
        description="imagenet, a path of an .h5, .keras, .tflite or .onnx file, or random:<seed>; left out: the "
        "network that the store has, imagenet in a new one.",
    )
    scaling: str = Field(
        TF,
        description="How the network of a weights file wants pixels: tf (-1 to 1), unit (0 to 1), raw (0 to 255), or "
        "torch (by ImageNet's mean and standard deviation).",
    )
    components: int | None = Field(
        None,
        ge=1,
        le=MOST_FEATURES,
        description="PCA components to keep; left out, with variance: what the store was asked for before, 50 in a new "
        "one.",
    )
    variance: float | None = Field(
        None, gt=0, le=1, description="Share of variance to keep, in place of a number of components."
    )
    variance_warning: float = Field(
        0.7, gt=0, le=1, description="Share of variance below which the check on pca_model warns."
    )

    # Tables
    store: Place = Field(
        "sample/store", description="Folder of all results, or s3://bucket/prefix.", validate_default=True
    )
    keep_days: int = Field(
        7, ge=0, le=3650, description="Days that replaced files of a table stay, so that former versions can be read."
    )
    small_files: int = Field(
        20, ge=1, le=10_000, description="Small files of a folder in a table; where there are more, they are merged."
    )
    files_at_a_time: int = Field(
        parallel.DEFAULT, ge=parallel.LEAST, le=parallel.MOST, description="Files read or written at a time."
    )

    # Spark
    cores: str = Field("*", pattern=r"^(\*|[1-9]\d*)$", description="Cores for Spark: a number, or * for all.")
    driver_memory: str = Field("1g", pattern=r"^[1-9]\d*[mg]$", description="Heap of Spark's JVM.")
    executor_cores: int = Field(4, ge=1, description="Cores of a Spark executor on the cluster, a Python worker each.")
    executor_memory: str = Field("4g", pattern=r"^[1-9]\d*[mg]$", description="Heap of a Spark executor there.")
    executor_overhead: str = Field(
        "5g", pattern=r"^[1-9]\d*[mg]$", description="Memory of an executor's Python workers, all together."
    )

    # Automation
    automation_minutes: int = Field(
        15, ge=1, le=1440, description="How often the sensors look, once they are switched on."
    )
    refit_share: float = Field(
        0.1,
        gt=0,
        description="Automation fits the PCA again when this share of photos more or fewer than it was fitted on has "
        "features.",
    )
    refit_drift: float = Field(
        0.1, gt=0, description="Or when the mean of the features has moved by so many standard deviations."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.max_core_nodes < self.core_nodes:
            raise ValueError(f"max_core_nodes ({self.max_core_nodes}) is less than core_nodes ({self.core_nodes}).")
        if self.audit_validation + self.audit_test >= 1:
            raise ValueError(
                f"audit_validation ({self.audit_validation}) and audit_test ({self.audit_test}) leave no photo for "
                "training. Give shares whose sum is less than 1."
            )
        try:
            check_scaling(self.weights, self.scaling)
        except FruitsError as error:
            raise ValueError(str(error)) from error
        if self.deployment != "local":
            for name, location in (("images", self.images), ("store", self.store)):
                if not location.startswith("s3://"):
                    raise ValueError(
                        f"FRUITS_DEPLOYMENT is {self.deployment}, and {name} is {location}, which "
                        f"{'a cluster' if self.deployment == 'emr' else 'a job there'} cannot reach. Give "
                        f"FRUITS_{name.upper()}=s3://bucket/prefix, as fruits deploy prints the buckets, or "
                        "FRUITS_DEPLOYMENT=local."
                    )
        return self

    def with_given(self, **given: Any) -> "Settings":
        """Returns the settings with some replaced, checked as when they are read."""
        values = self.model_dump(exclude_none=True)
        if "components" in given:
            values.pop("variance", None)
        return read_settings(**{**values, **given})

    def export(self) -> None:
        """Sets the variables by which readers of files and Spark's workers know settings, as these may be in ``.env``.

        They hold for this process and for those that it starts.
        """
        export("FRUITS_REGION", self.region)
        export(parallel.VARIABLE, str(self.files_at_a_time))

    def as_environment(self) -> dict[str, str]:
        """Returns the environment variables that make the same settings elsewhere; there is no secret among them."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return {f"FRUITS_{name.upper()}": str(value) for name, value in given.items()}

    @property
    def uses_databricks(self) -> bool:
        """Whether the Databricks workspace is looked at; where it is not, no request goes there."""
        return self.databricks or self.deployment == "databricks"

    @property
    def decode_limits(self) -> DecodeLimits:
        """What a worker may read and decode."""
        max_bytes = self.max_photo_megabytes * MEBIBYTE
        ahead = FetchLimits(self.photos_ahead, self.megabytes_ahead * MEBIBYTE, max_bytes)
        return DecodeLimits(ahead, self.max_photo_megapixels * 1_000_000)

    @property
    def maintenance(self) -> "MaintenanceLimits":
        """How the tables are kept."""
        from spark_steps.tables.maintenance import MaintenanceLimits

        return MaintenanceLimits(timedelta(days=self.keep_days), self.small_files)

    @property
    def spark_config(self) -> dict[str, str]:
        """Spark's settings on this machine."""
        return local_spark_config(self.cores, self.driver_memory)

    @property
    def pca(self) -> "PcaSettings | None":
        """How many components to keep; None for what the store was asked for before."""
        from spark_steps.pca.model import PcaSettings

        return PcaSettings.of(self.components, self.variance)


def read_settings(**given: Any) -> Settings:
    """Returns the settings, those given before those of the environment.

    Raises:
        CalledWronglyError: One is out of bounds or malformed; the message names it.
        FruitsError: ``.env`` cannot be read.
    """
    try:
        values = {name: value for name, value in given.items() if value is not None}
        if "components" in values:
            # Asking for a number of components here goes before a share of variance asked for in the environment.
            values.setdefault("variance", None)
        return Settings(**values)
    except UnicodeDecodeError as error:
        raise FruitsError(f"The file .env of the current folder is not UTF-8: {error}. Save it as UTF-8.") from error
    except ValidationError as error:
        from spark_steps.storage.locations import holds_a_secret

        first = error.errors()[0]
        if not first["loc"]:
            raise CalledWronglyError(
                f"The settings do not go together: {first['msg'].removeprefix('Value error, ')}"
            ) from error
        # A field with an alias is named by the variable that was read.
        name = str(first["loc"][0]).removeprefix("FRUITS_").lower()
        is_secret = name == "serve_token" or holds_a_secret(str(first["input"]))
        shown = "***" if is_secret else repr(first["input"])
        raise CalledWronglyError(
            f"Setting {name} (FRUITS_{name.upper()}) = {shown}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
