"""Every setting of the platform, from the environment (``FRUITS_*``) or a ``.env`` file, checked when it is read."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from spark_steps.audit.flags import FlagThresholds
from spark_steps.audit.settings import AuditSettings
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.features.network import MOST_FEATURES, TF
from spark_steps.features.weights import check_scaling
from spark_steps.pca.model import PcaSettings
from spark_steps.photos.limits import DecodeLimits, FetchLimits
from spark_steps.spark.session import local_spark_config
from spark_steps.storage import locations, parallel
from spark_steps.tables.maintenance import MaintenanceLimits

MEBIBYTE = 1024 * 1024


# The AWS regions in member states of the European Union; London (eu-west-2) and Zurich (eu-central-2) are not.
EU_REGIONS = ("eu-west-3", "eu-west-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2")


def _place(location: str) -> str:
    try:
        location = locations.normalise(location)
    except FruitsError as error:
        raise ValueError(str(error)) from error
    if not locations.can_hold_a_store(location):
        raise ValueError(f"{location} is neither a folder nor in S3. Give a path, or s3://bucket/prefix.")
    return location


def _weights(source: str) -> str:
    # What is wrong besides is told where they are read.
    if locations.holds_a_secret(source):
        _place(source)
    return source


def _eu_region(region: str) -> str:
    if region not in EU_REGIONS:
        raise ValueError(f"photos stay in the European Union. Choose one of {', '.join(EU_REGIONS)}.")
    return region


def _x86_instance(instance_type: str) -> str:
    if not re.fullmatch(r"[a-z]+\d[a-z0-9-]*\.[a-z0-9-]+", instance_type):
        raise ValueError("this is no instance type. Give one such as m5.xlarge.")
    # A g after the generation is Graviton.
    if re.match(r"[a-z]+\d+g", instance_type):
        raise ValueError("the cluster's environment is for x86_64, and this is an ARM instance. Choose m5.xlarge, say.")
    return instance_type


Place = Annotated[str, AfterValidator(_place)]

# The defaults of an audit, with their reasons, stand there.
_AUDIT, _FLAGS = AuditSettings(), FlagThresholds()


class Settings(BaseSettings):
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
    deployment: Literal["local", "emr", "emr-serverless"] = Field("local", description="Where the steps run.")

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

    # Audit
    audit_cosine: float = Field(
        _AUDIT.cosine, gt=0, le=1, description="Photos are near-duplicates from this cosine of their features on."
    )
    audit_neighbours: int = Field(
        _AUDIT.neighbours, ge=1, le=100, description="Nearest photos whose labels are compared with a photo's own."
    )
    audit_validation: float = Field(_AUDIT.shares[1], ge=0, lt=1, description="Share of the photos for validation.")
    audit_test: float = Field(
        _AUDIT.shares[2], ge=0, lt=1, description="Share of the photos for test; the rest is for training."
    )
    audit_seed: int = Field(
        _AUDIT.seed, ge=0, le=2**31 - 1, description="Decides which of equal groups of photos go to which split."
    )
    audit_agreement: float = Field(
        _AUDIT.agreement,
        ge=0,
        lt=1,
        description="A photo is a label candidate if at most this share of its neighbours has its label.",
    )
    audit_majority: float = Field(
        _AUDIT.majority,
        gt=0.5,
        le=1,
        description="Or if at least this share of its group of near-duplicates has another label.",
    )
    audit_deviations: float = Field(
        _AUDIT.deviations, gt=0, description="Robust standard deviations from its label at which a photo is an outlier."
    )
    audit_dark: float = Field(_FLAGS.dark, ge=0, le=1, description="Brightness below which a photo is dark.")
    audit_bright: float = Field(_FLAGS.bright, ge=0, le=1, description="Brightness above which a photo is bright.")
    audit_blurred: float = Field(_FLAGS.blurred, ge=0, description="Sharpness below which a photo is blurred.")
    audit_low_contrast: float = Field(
        _FLAGS.low_contrast, ge=0, le=1, description="Contrast below which a photo has low contrast."
    )
    audit_tiny: int = Field(_FLAGS.tiny, ge=0, description="Pixels of the shorter side below which a photo is tiny.")
    audit_odd_aspect: float = Field(
        _FLAGS.odd_aspect, ge=1, description="Longer by shorter side above which the aspect is odd."
    )
    audit_one_colour: float = Field(
        _FLAGS.one_colour, ge=0, description="Colour spread below which a photo is nearly one colour."
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

    # Answers over HTTP
    serve_token: SecretStr | None = Field(
        # It goes nowhere else: neither to a cluster nor into a message.
        None,
        exclude=True,
        description="Token that requests to fruits serve must have; without one it answers this machine alone.",
    )
    serve_waiting: int = Field(
        16, ge=0, le=10_000, description="Requests that wait, besides one at work for each of the cores."
    )
    serve_megabytes: int = Field(256, ge=1, le=65_536, description="Photos held in memory at a time, undecoded.")
    serve_seconds: int = Field(
        10, ge=1, le=600, description="The longest that a photo may take to arrive, to wait, and to be decoded, each."
    )
    serve_refresh_seconds: float = Field(5, ge=0.1, le=86_400, description="Between two looks for a newer version.")
    serve_exact_up_to: int = Field(
        2_000_000, ge=0, description="Photos of a store up to which all are looked at; above, an index proposes some."
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

    # Cluster
    region: Annotated[str, AfterValidator(_eu_region)] = Field(
        "eu-west-3", description="AWS region of clusters and buckets; only regions in the European Union."
    )
    stack: str = Field(
        "fruits",
        pattern=r"^[a-z][a-z0-9-]{0,28}$",
        description="Name of the CloudFormation stack, and of its clusters.",
    )
    core_nodes: int = Field(2, ge=2, le=4, description="Core nodes that a cluster starts with.")
    max_core_nodes: int = Field(
        4,
        ge=2,
        le=4,
        # The second is the variable's former name.
        validation_alias=AliasChoices("FRUITS_MAX_CORE_NODES", "FRUITS_CORE_NODES_MOST"),
        description="Core nodes that managed scaling may reach.",
    )
    max_executors: int = Field(
        3, ge=1, le=32, description="Executors that a job of EMR Serverless may have; Spark's own limit is none."
    )
    spot: bool = Field(False, description="Spot instances for the core nodes; never for the master.")
    provisioning_minutes: int = Field(
        10,
        ge=5,
        le=60,
        description="EMR ends a new cluster that has not got its Spot instances after so long, and stops trying to add "
        "nodes to an older one.",
    )
    instance_type: Annotated[str, AfterValidator(_x86_instance)] = Field(
        "m5.xlarge", description="Instances of the cluster."
    )
    emr_release: str = Field("emr-7.14.0", pattern=r"^emr-7\.\d+\.\d+$", description="EMR release; 7 has Spark 3.5.")
    jupyterhub: bool = Field(False, description="JupyterHub on the cluster, its notebooks kept in S3.")
    keep_environments: int = Field(
        3,
        ge=1,
        le=100,
        description="Python environments of the nodes that are kept in the staging bucket, besides those in use.",
    )
    idle_minutes: int = Field(5, ge=1, le=60, description="EMR ends a cluster that has been idle for so long.")
    max_age_minutes: int = Field(120, ge=15, le=1440, description="A cluster is ended at this age, whatever it does.")
    log_minutes: int = Field(
        6,
        ge=0,
        le=15,
        description="How long to wait for the log of a step that ended without a reason; EMR uploads logs every 5 "
        "minutes.",
    )
    step_minutes: int = Field(60, ge=1, le=1440, description="A step that runs for longer is cancelled.")
    step_retries: int = Field(
        1, ge=0, le=5, description="Times that a step is tried again which was lost with its driver, nodes or cluster."
    )

    # Money
    budget_eur: float = Field(10.0, ge=0, description="Most that clusters may cost in a calendar month.")
    usd_to_eur: float = Field(0.92, gt=0, description="Euros for a dollar, for prices quoted in dollars.")
    vat_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        description="Value-added tax on AWS's bill, which its prices leave out; 0 where it is refunded.",
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

    def as_environment(self) -> dict[str, str]:
        """Returns the environment variables that make the same settings elsewhere; there is no secret among them."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return {f"FRUITS_{name.upper()}": str(value) for name, value in given.items()}

    @property
    def decode_limits(self) -> DecodeLimits:
        """What a worker may read and decode."""
        max_bytes = self.max_photo_megabytes * MEBIBYTE
        ahead = FetchLimits(self.photos_ahead, self.megabytes_ahead * MEBIBYTE, max_bytes)
        return DecodeLimits(ahead, self.max_photo_megapixels * 1_000_000)

    @property
    def maintenance(self) -> MaintenanceLimits:
        """How the tables are kept."""
        return MaintenanceLimits(timedelta(days=self.keep_days), self.small_files)

    @property
    def audit(self) -> AuditSettings:
        """What an audit is asked for."""
        train = round(1 - self.audit_validation - self.audit_test, 9)
        return AuditSettings(
            cosine=self.audit_cosine,
            neighbours=self.audit_neighbours,
            shares=(train, self.audit_validation, self.audit_test),
            seed=self.audit_seed,
            agreement=self.audit_agreement,
            majority=self.audit_majority,
            deviations=self.audit_deviations,
            thresholds=FlagThresholds(
                dark=self.audit_dark,
                bright=self.audit_bright,
                blurred=self.audit_blurred,
                low_contrast=self.audit_low_contrast,
                tiny=self.audit_tiny,
                odd_aspect=self.audit_odd_aspect,
                one_colour=self.audit_one_colour,
            ),
        )

    @property
    def spark_config(self) -> dict[str, str]:
        """Spark's settings on this machine."""
        return local_spark_config(self.cores, self.driver_memory, [self.images, self.store])

    @property
    def pca(self) -> PcaSettings | None:
        """How many components to keep; None for what the store was asked for before."""
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
        first = error.errors()[0]
        if not first["loc"]:
            raise CalledWronglyError(
                f"The settings do not go together: {first['msg'].removeprefix('Value error, ')}"
            ) from error
        # A field with an alias is named by the variable that was read.
        name = str(first["loc"][0]).removeprefix("FRUITS_").lower()
        is_secret = name == "serve_token" or locations.holds_a_secret(str(first["input"]))
        shown = "***" if is_secret else repr(first["input"])
        raise CalledWronglyError(
            f"Setting {name} (FRUITS_{name.upper()}) = {shown}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
