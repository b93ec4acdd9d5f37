"""Exports features to a folder that the library datasets of Hugging Face reads.

The folder has the layout of ``DatasetDict.save_to_disk``: for each split a folder with an Arrow stream and two small
JSON files. It is written with pyarrow and not with datasets. That would write all rows twice, to its cache first, and
all that it knows of a column is a few words of JSON in the metadata of the Arrow schema. The layout has been the same
since datasets 1.18. The tests read the folder with the library itself.

``load_dataset`` does not look into such a folder by itself. It takes the names of the files from the head of a
``README.md``.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_steps.queries.exports.rows import REDUCED_OF_ALL, Census, Rows, Selection, rows_of
from spark_steps.queries.exports.target import whole_folder_or_none
from spark_steps.queries.splits import PARTS
from spark_steps.store.store import Store

_ALL = "train"
_DATA, _DICT, _CARD = "data-00000-of-00001.arrow", "dataset_dict.json", "README.md"
_KEY = "huggingface"


def export_huggingface(
    store: Store, target: Path, selection: Selection = REDUCED_OF_ALL, *, force: bool = False
) -> int:
    """Writes a folder for ``datasets.load_from_disk`` and ``datasets.load_dataset``; returns the number of rows.

    The columns: image_id, path, folder, label, as texts; label_id, a ``ClassLabel`` with the names of all labels;
    ``reduced`` or ``features``, a list of k or 1280 float32; and its version, ``pca_model`` or ``model``. Each part of
    a selected split is a split of the dataset. Otherwise all photos are its split ``train``, which is the name
    that the library gives to rows that are not split.

    Args:
        store: The store.
        target: The folder to write.
        selection: What is exported.
        force: Replace the folder, if it is an earlier export.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the photos are in no split; or the folder exists already or cannot be written.
    """
    rows = rows_of(store, selection)
    census = rows.census()
    features = _features(rows, census)
    schema = _schema(rows, features)
    with whole_folder_or_none(target, force, {_DICT, _CARD, *PARTS}) as partial:
        written: dict[str, pa.RecordBatchWriter] = {}
        with ExitStack() as closing:
            for batch in rows.batches():
                for part, of_part in _by_part(batch):
                    if part not in written:
                        (partial / part).mkdir()
                        sink = closing.enter_context(pa.OSFile(str(partial / part / _DATA), "wb"))
                        written[part] = closing.enter_context(pa.ipc.new_stream(sink, schema))
                    written[part].write_batch(_columns(rows, census, of_part, schema))
        parts = [part for part in PARTS if part in written]
        for part in parts:
            _write_about(partial / part, part, features, rows)
        (partial / _DICT).write_text(json.dumps({"splits": parts}), "utf-8")
        (partial / _CARD).write_text(_card(parts, rows, census), "utf-8")
    return census.rows


def _features(rows: Rows, census: Census) -> dict[str, Any]:
    """Returns what the columns mean, as datasets writes it."""
    text = {"dtype": "string", "_type": "Value"}
    number = {"dtype": "float32", "_type": "Value"}
    return {
        **dict.fromkeys(_texts(rows), text),
        "label_id": {"names": census.classes, "_type": "ClassLabel"},
        # Since datasets 4 it is called List; Sequence is what all versions read.
        rows.numbers: {"feature": number, "length": rows.width, "_type": "Sequence"},
        rows.made_by: text,
    }


def _texts(rows: Rows) -> list[str]:
    """Returns the columns of texts; the split is not among them, because each has a folder of its own."""
    return [name for name in rows.texts if name != "split"]


def _schema(rows: Rows, features: dict[str, Any]) -> pa.Schema:
    types = {
        **dict.fromkeys(_texts(rows), pa.string()),
        "label_id": pa.int64(),
        rows.numbers: pa.list_(pa.float32(), rows.width),
        rows.made_by: pa.string(),
    }
    return pa.schema(types.items(), {_KEY: json.dumps({"info": {"features": features}})})


def _columns(rows: Rows, census: Census, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = {name: batch[name] for name in (*_texts(rows), rows.made_by)}
    columns["label_id"] = census.ids_of(batch["label"])
    columns[rows.numbers] = pa.FixedSizeListArray.from_arrays(batch[rows.numbers].flatten(), rows.width)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _by_part(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    if "split" not in batch.schema.names:
        yield _ALL, batch
        return
    for part in batch["split"].unique().to_pylist():
        yield part, batch.filter(pc.equal(batch["split"], part))


def _write_about(directory: Path, part: str, features: dict[str, Any], rows: Rows) -> None:
    made_by = ", ".join(f"{name} {version}" for name, version in rows.versions.items())
    about = {"description": f"Numbers of photos, by {made_by}.", "citation": "", "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": _DATA}],
        # Datasets finds what it has computed before by this name, so no two exports may have the same.
        "_fingerprint": uuid.uuid4().hex[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": part,
    }
    for name, document in (("dataset_info.json", {**about, "features": features}), ("state.json", state)):
        (directory / name).write_text(json.dumps(document, ensure_ascii=False, indent=2), "utf-8")


def _card(parts: Sequence[str], rows: Rows, census: Census) -> str:
    head = ["---", "configs:", "- config_name: default", "  data_files:"]
    for part in parts:
        head += [f"  - split: {part}", f"    path: {part}/*.arrow"]
    made_by = ", ".join(f"`{name}` {version}" for name, version in rows.versions.items())
    text = f"""---

# Numbers of {census.rows:,} photos

Written by `fruits export`: {rows.width} numbers for each photo in the column `{rows.numbers}`, and its label, one of
{len(census.classes):,}, in `label` and `label_id`. Made by {made_by}.

`image_id` is the sha256 of a photo, `path` its place below the images folder: both are personal data if the photos are.
An erasure of photos from the store does not reach this copy.
"""
    return "\n".join([*head, text])
