"""The metadata of materializations."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from fruits_assets.assets.charts.drawing import picture, variance_curve
from fruits_assets.assets.charts.photo_map import photo_map
from fruits_assets.assets.charts.variance_sketch import variance_sketch
from fruits_assets.instance.internals import AssetMetadataHandle, OutputMetadataAccumulator
from fruits_assets.money.costs import Cost, entries, shares
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca.model import ANALYSED_COMPONENTS, PcaModel
from spark_steps.pca.photo_map import sample_map
from spark_steps.store.summaries import Summary
from spark_steps.tables.folder_table import FolderTable

COLUMNS = {
    "image_id": "sha256 of the photo's bytes, hexadecimal",
    "path": "where the photo lies below the images root",
    "folder": "folder relative to the images root; the partition",
    "label": "last component of the folder",
    "length": "bytes of the photo",
    "modification_time": "when the photo was last changed, UTC",
    "error": "why the photo cannot be used, null when it can",
    "format": "format the bytes are in, whatever the file is called",
    "width": "pixels across, upright",
    "height": "pixels down, upright",
    "brightness": "mean luma, from 0 (black) to 1 (white)",
    "contrast": "distance of the darkest and the brightest hundredth of the luma, from 0 to 1",
    "sharpness": "variance of the luma's Laplacian relative to that of the luma; near 0 when blurred",
    "colour_spread": "root mean square distance of the pixels to their mean colour; 0 for one colour",
    "features": "what the network gives for the photo, 1280 numbers of MobileNetV2; null when there is an error",
    "model": "fingerprint of the network and its preprocessing",
    "reduced": "the photo's k numbers",
    "pca_model": "version of the PCA model",
    "group": "number of the group of near-duplicates, new in each audit",
    "split": "train, validation or test",
    "nearest_cosine": "cosine of the features to those of the nearest other photo",
    "nearest_label": "label of the nearest other photo",
    "other_label_cosine": "cosine to the nearest photo of another label, null if there is none",
    "other_label": "label of the nearest photo of another label",
    "label_agreement": "share of the nearest photos outside of the group that have the photo's label",
    "label_cosine": "cosine to the mean of the label",
    "audit": "version of the audit",
    "kind": "what was found",
    "severity": "error, warning or info",
    "score": "the number that was compared",
    "reason": "why, as a sentence",
}


_DIGITS = 4
# The asset with the figures of the whole store, to which the metadata of each folder link.
STORE_REPORT = "store_report"


def significant(number: float) -> float:
    """Returns a number rounded to 4 significant digits, not to cents: costs of a folder are far below a cent."""
    return float(f"{number:.{_DIGITS}g}")


def percent(share: float) -> str:
    """Returns a share as a percentage with 3 significant digits, so that 1 of 99 does not look like 1 %."""
    return f"{100 * share:.3g}%"


def rounded(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metadata with all floats rounded by ``significant``."""
    return {name: significant(value) if isinstance(value, float) else value for name, value in entries.items()}


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """Returns a table's columns for the Dagster UI, with the partition column."""
    columns = [dg.TableColumn(field.name, str(field.type), description=COLUMNS[field.name]) for field in schema]
    return dg.TableSchema(columns=[*columns, dg.TableColumn("folder", "string", description=COLUMNS["folder"])])


def add_to_partitions(context: dg.StepExecutionContext, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Gives the materialization of each partition of a run its own metadata.

    ``add_output_metadata`` of an IO manager would give all partitions the same metadata. ``add_asset_metadata`` is not
    used: for each partition it reads the names of all partitions from Dagster's database, which took 20 ms each with
    1,000 partitions. Both would also copy the metadata of all partitions once for each of them.

    Args:
        context: Context of the step that materializes the asset.
        described: Metadata by partition.
    """
    assert context.assets_def is not None  # noqa: S101
    asset, gathered = context.assets_def.key, context._metadata_accumulator
    all_metadata = dict(gathered.per_output_metadata)
    for partition, metadata in described.items():
        handle = AssetMetadataHandle(asset_key=asset, partition_key=partition)
        all_metadata[handle] = {**all_metadata.get(handle, {}), **metadata}
    context._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=all_metadata)


NOTHING_NEW: Mapping[str, Any] = {"nothing_new": "Nothing had to be computed: all of it was up to date."}


def of_folders(
    table: FolderTable,
    summaries: Mapping[str, Summary],
    computed: Mapping[str, int],
    photo_bytes: Mapping[str, int],
    cost: Cost,
) -> dict[str, dict[str, Any]]:
    """Returns the metadata of each folder of a run.

    Args:
        table: The table after the write.
        summaries: Summary of the table's rows, by folder of the run.
        computed: Number of photos worked on, by folder.
        photo_bytes: Bytes of the photos, by folder.
        cost: The cost of the step; each folder gets its share.
    """
    share = shares({folder: computed.get(folder, 0) for folder in summaries})
    rate = sum(computed.values()) / cost.seconds if cost.seconds else 0.0
    described: dict[str, dict[str, Any]] = {}
    for folder, summary in summaries.items():
        before = photo_bytes.get(folder, 0)
        described[folder] = {
            "folder": folder,
            "all_folders": dg.MetadataValue.asset(dg.AssetKey(STORE_REPORT)),
            "dagster/partition_row_count": summary.rows,
            "photos": summary.rows,
            "photo_bytes": before,
            "table_bytes": summary.table_bytes,
            "storage_saved": 1 - summary.table_bytes / before if before else 0.0,
            "files": summary.files,
            "photos_worked_on": computed.get(folder, 0),
            "images_per_second": rate,
            **entries(cost, share[folder], computed.get(folder, 0)),
            "dagster/uri": table.root,
        }
        if "error" in table.schema.names:
            described[folder] |= _rejected_entries(summary)
    return {folder: rounded(one) for folder, one in described.items()}


def _rejected_entries(summary: Summary) -> dict[str, Any]:
    described: dict[str, Any] = {"rejected": sum(summary.reasons.values())}
    if summary.rejected:
        described["rejected_by_reason"] = dict(summary.reasons)
        rows = [{"path": path, "error": error} for path, error in summary.rejected]
        described["rejected_photos"] = table_of(rows, ["path", "error"])
    return described


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dg.TableMetadataValue:
    """Returns rows as a table of strings for the Dagster UI."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: str(row[name]) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )


def of_mobilenet_model(model: MobileNetModel) -> dict[str, Any]:
    """Returns the metadata of a network."""
    return {
        "weights_source": model.source,
        "weights_sha256": model.weights_sha256,
        "fingerprint": model.fingerprint,
        "engine": model.spec.format,
        "input": f"{model.spec.height} x {model.spec.width}, {model.spec.layout}",
        "scaling": model.spec.scaling,
        "features": model.spec.features,
        "broadcast_bytes": len(model.flatbuffer),
    }


def of_pca_model(model: PcaModel, root: str, features: FolderTable) -> dict[str, Any]:
    """Returns the metadata of a PCA model: pictures, then the variance that it keeps, then other figures.

    Args:
        model: The model.
        root: Directory of all versions of the model.
        features: The table mobilenet_features, for the map of the photos.
    """
    return {
        "variance": variance_sketch(model),
        "variance_curve": picture(lambda: variance_curve(model), "variance kept against components"),
        "photo_map": picture(lambda: photo_map(sample_map(features, model), model), "photos by label"),
        "variance_kept": model.explained_at(model.k),
        "components": model.k,
        "components_asked_for": model.asked_components if model.asked_variance is None else str(model.asked_variance),
        "variance_at_50": model.explained_at(50),
        f"variance_at_{ANALYSED_COMPONENTS}": model.explained_at(ANALYSED_COMPONENTS),
        "components_for_90_percent": model.components_for(0.90),
        "components_for_95_percent": model.components_for(0.95),
        "components_for_99_percent": model.components_for(0.99),
        "photos": model.rows,
        "folders": len(model.folders),
        "version": model.version,
        "features_model": model.features_model,
        "features_table_version": -1 if model.features_version is None else model.features_version,
        "weights_source": model.weights.get("source", ""),
        "weights_sha256": model.weights.get("sha256", ""),
        "dagster/uri": f"{root}/{model.version}",
    }
