"""Exports features to a TFRecord file for TensorFlow and whatever else reads that format."""

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from spark_steps.queries.exports.rows import REDUCED_OF_ALL, Census, Rows, Selection, rows_of
from spark_steps.queries.exports.target import is_stream, whole_or_not_at_all
from spark_steps.queries.exports.tfrecord_encoding import example, float_feature, framed, integer_feature, text_feature
from spark_steps.store.store import Store

_COMPRESSION_LEVEL = 6


def export_tfrecord(store: Store, target: Path, selection: Selection = REDUCED_OF_ALL, *, force: bool = False) -> int:
    """Writes a ``tf.train.Example`` for each photo to a TFRecord file; returns the number of rows.

    The features of an example: image_id, path, folder, label and, if it is selected, split, as UTF-8; label_id, an
    integer; and ``reduced`` or ``features``, k or 1280 float32. A name that ends in ``.gz`` compresses the file.

    Beside the file, under its name and ``.json``, is a file with the labels in the order of ``label_id``, the number of
    floats, the versions, and the compression, which readers have to be told. It comes first, so an export that is
    there has it. A pipe or a device gets the records alone.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        selection: What is exported.
        force: Replace the files, if there are any.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the photos are in no split; or a file exists already or cannot be written.
    """
    rows = rows_of(store, selection)
    census = rows.census()
    compressed = target.suffix == ".gz"
    with ExitStack() as wholes:
        records = wholes.enter_context(whole_or_not_at_all(target, force))
        if not is_stream(target):
            about = wholes.enter_context(whole_or_not_at_all(sidecar_of(target), force))
            about.write_text(json.dumps(_about(rows, census, compressed), ensure_ascii=False, indent=1), "utf-8")
        with _opened(records, compressed) as stream:
            for batch in rows.batches():
                stream.write(framed(list(_examples(rows, census, batch))))
    return census.rows


def sidecar_of(target: Path) -> Path:
    """Returns the file with the labels of a TFRecord file."""
    return target.with_name(f"{target.name}.json")


@contextmanager
def _opened(file: Path, compressed: bool) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with file.open("wb") as stream:
        if not compressed:
            yield stream
            return
        # Without the name and the time of the unfinished file, which would be in the header.
        with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, stream, mtime=0) as zipped:
            yield zipped


def _about(rows: Rows, census: Census, compressed: bool) -> dict[str, Any]:
    return {
        "photos": census.rows,
        "classes": census.classes,
        "numbers": rows.numbers,
        "width": rows.width,
        "compression": "GZIP" if compressed else "",
        **rows.versions,
    }


def _examples(rows: Rows, census: Census, batch: pa.RecordBatch) -> Iterator[bytes]:
    texts = zip(*(batch[name].to_pylist() for name in rows.texts), strict=True)
    ids = census.ids_of(batch["label"]).to_pylist()
    for of_photo, label_id, numbers in zip(texts, ids, rows.matrix(batch), strict=True):
        features = {name: text_feature(text) for name, text in zip(rows.texts, of_photo, strict=True)}
        features |= {"label_id": integer_feature(label_id), rows.numbers: float_feature(numbers)}
        yield example(features)
