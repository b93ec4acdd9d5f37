"""A store of reduced features alone, for those who read it."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from spark_steps.pca.model import PcaModel
from spark_steps.pca.model_store import save
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.stores.models import model_by_hand

ROWS, COMPONENTS = 30, 4


FOLDERS = ("Training/Apple, red", 'Pêche "blanche"\n=new')


def reduced_store(root: Path) -> Store:
    """A store of two folders with numbers of all sizes, as fruits writes it."""
    made = Store(str(root))
    numbers = np.random.default_rng(0).normal(size=(ROWS, COMPONENTS))
    save(model(), made.pca_models)
    tables: dict[str, list[pa.Table]] = {}
    for folder, rows in zip(FOLDERS, np.array_split(np.arange(ROWS), 2), strict=True):
        label = folder.rpartition("/")[2]
        columns = {
            "image_id": [f"{row:064x}" for row in rows],
            "path": [f"{folder}/{row}.jpg" for row in rows],
            "label": [label] * len(rows),
            "reduced": list((numbers[rows] * 10.0 ** (rows[:, np.newaxis] - 15)).astype(np.float32)),
            "pca_model": ["0123456789abcdef"] * len(rows),
        }
        tables[folder] = [pa.table(columns, REDUCED_SCHEMA)]
    table = made.reduced_features
    table.write(table.replacement(DriverRows(tables), FOLDERS))
    return made


def model() -> PcaModel:
    return model_by_hand("0123456789abcdef", "f" * 64, ROWS, FOLDERS, COMPONENTS)
