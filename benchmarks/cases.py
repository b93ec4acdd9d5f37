"""Every contender: what it is called, what it works on, and how its process is started."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from benchmarks.harness.job import COMPONENTS, Job
from fruits_assets.aws.environment import find_uv
from spark_steps.errors import FruitsError

Data = Literal["photos", "phone photos", "features table", "one photo", "folders", "used store", "nothing"]
Stored = Literal["fitted", "large", "used"]
# Photos that are added to a store.
ADDED = 10
# Photos that are spread over so many folders as a case says.
PHOTOS_OF_FOLDERS = 6000
_CONTENDERS = Path(__file__).parent / "contenders"


@dataclass(frozen=True)
class Case:
    """One contender in one discipline.

    Attributes:
        name: Discipline and contender, ``features/ray``.
        title: What a reader should know it by.
        data: What it works on.
        sizes: Photos, rows or folders that it is measured with.
        result: Where its features lie below its output directory; None where it writes none.
        same_pixels: Whether its features must be ours; else they are compared by their cosine.
        small: Whether it is quick enough for the small mode.
        needs: Modules that must be installed.
        keras: Whether it takes weights that Keras can read.
        store: The store that it begins with: one with a fitted PCA, one of many photos that were made up, or one that
            a run has filled; None where there is none yet.
        command: From a job to its command; by default its file in ``contenders``.
    """

    name: str
    title: str
    data: Data
    sizes: tuple[int, ...]
    result: str | None = None
    same_pixels: bool = True
    small: bool = True
    needs: tuple[str, ...] = ()
    keras: bool = False
    store: Stored | None = None
    command: Callable[[Job], list[str]] | None = None

    @property
    def discipline(self) -> str:
        """What it takes part in: contenders of one discipline and size are compared."""
        return self.name.split("/")[0]

    def command_of(self, job: Job) -> list[str]:
        """Returns the command of a job."""
        if self.command is not None:
            return self.command(job)
        return [sys.executable, "-m", f"benchmarks.contenders.{self.name.replace('/', '.')}", job.as_argument()]

    def missing(self) -> str | None:
        """Returns why it cannot run here, None where it can."""
        if absent := [name for name in self.needs if find_spec(name) is None]:
            return f"{', '.join(absent)} not installed (uv sync --group bench)"
        if self.command is _daft and daft_python() is None:
            return "Daft's own environment is not there (uv sync --script benchmarks/contenders/features/daft.py)"
        return None


@cache
def daft_python() -> str | None:
    """Returns the interpreter of Daft's own environment, None where it has not been made."""
    script = str(_CONTENDERS / "features" / "daft.py")
    try:
        command = [find_uv(), "python", "find", "--script", script]
    except FruitsError:
        return None
    python = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    works = (
        bool(python) and subprocess.run([python, "-c", "import daft"], capture_output=True, check=False).returncode == 0
    )
    return python if works else None


def _daft(job: Job) -> list[str]:
    return [daft_python() or "python", "-m", "benchmarks.contenders.features.daft", job.as_argument()]


def _contender(module: str) -> Callable[[Job], list[str]]:
    return lambda job: [sys.executable, "-m", f"benchmarks.contenders.{module}", job.as_argument()]


def fruits_run(images: str, store: str, flatbuffer: str | None = None) -> list[str]:
    """Returns the command of the whole pipeline; without a network that of a store which has one."""
    weights = [] if flatbuffer is None else ["--weights", flatbuffer]
    return [sys.executable, "-m", "fruits_assets", "run", "--images", images, "--store", store, *weights]


def _pipeline(job: Job) -> list[str]:
    return [*_first_run(job), "--components", str(COMPONENTS)]


def _first_run(job: Job) -> list[str]:
    return fruits_run(job.data, f"{job.output}/store", job.flatbuffer)


def _next_run(job: Job) -> list[str]:
    return fruits_run(job.data, job.store)


def _demonstration(job: Job) -> list[str]:
    return [sys.executable, "-m", "fruits_assets", "demo", "--weights", job.weights]


_STORE_FEATURES = "store/Results/mobilenet_features"
_FEW, _MANY, _MOST = 4000, 20_000, 50_000
_TABLES = (10_000, 50_000, 100_000)

CASES = [
    Case("everyday/nothing", "nothing is new", "used store", (400,), store="used", command=_next_run),
    Case("everyday/added", f"{ADDED} photos are new", "used store", (3000,), store="used", command=_next_run),
    Case("everyday/demo", "fruits demo, in a new directory", "nothing", (192,), command=_demonstration),
    Case("features/ours", "ours: raw_images and mobilenet_features", "photos", (_FEW, _MANY, _MOST), _STORE_FEATURES),
    Case("features/notebook", "the notebook's way", "photos", (_FEW,), "features", small=False, keras=True),
    Case("features/predict_batch", "predict_batch_udf, Keras", "photos", (_FEW,), "features", small=False, keras=True),
    Case("features/pool", "process pool, same network", "photos", (_FEW, _MANY, _MOST), ""),
    Case("features/daft", "Daft, same network", "photos", (_FEW, _MANY, _MOST), "features", command=_daft),
    Case("features/ray", "Ray Data, same network", "photos", (_FEW, _MANY, _MOST), "features", needs=("ray",)),
    Case("features/datasets", "Hugging Face datasets, same network", "photos", (_FEW,), "", needs=("datasets",)),
    Case("pipeline/ours", "ours: fruits run", "photos", (_FEW,), _STORE_FEATURES, command=_pipeline),
    Case("pipeline/notebook", "the notebook's whole flow", "photos", (_FEW,), "features", small=False, keras=True),
    Case("limits/litert", "LiteRT alone, pixels ready", "nothing", (0,)),
    Case("limits/sgemm", "sgemm: the bound of the arithmetic", "nothing", (0,)),
    Case(
        "phone/ours",
        "ours",
        "phone photos",
        (1500,),
        _STORE_FEATURES,
        command=_contender("features.ours"),
    ),
    Case("phone/pool", "process pool, our decoding", "phone photos", (1500,), "", command=_contender("features.pool")),
    Case("phone/daft", "Daft, our decoding", "phone photos", (1500,), "features", command=_daft),
    Case("phone/pool_full", "process pool, full decoding", "phone photos", (1500,), "", same_pixels=False),
    Case("pca/ours", "ours: one pass in Spark", "features table", _TABLES),
    Case("pca/spark_ml", "spark.ml StandardScaler and PCA", "features table", _TABLES, small=False),
    Case("pca/scikit_learn", "scikit-learn", "features table", _TABLES, needs=("sklearn",)),
    Case("pca/numpy", "pyarrow and numpy alone", "features table", _TABLES),
    Case("single/ours", "ours: fruits identify, to nearest labels", "one photo", (1,), store="fitted"),
    Case("single/litert", "LiteRT alone, to features", "one photo", (1,)),
    Case("single/keras", "Keras, to features", "one photo", (1,), small=False, keras=True),
    Case("identify/ours", "ours: fruits identify", "one photo", (1000, 1_000_000), store="large"),
    Case("folders/ours", "ours: fruits run", "folders", (18, 2000), small=False, command=_first_run),
]


def in_turn(cases: Iterable[tuple[Case, int]]) -> list[tuple[Case, int]]:
    """Returns cases and sizes so that those which are compared run one after the other: by discipline, then by size.

    A machine that others share is slower in one hour than in the next.
    """
    disciplines = list(dict.fromkeys(case.discipline for case in CASES))
    return sorted(cases, key=lambda one: (disciplines.index(one[0].discipline), one[1]))
