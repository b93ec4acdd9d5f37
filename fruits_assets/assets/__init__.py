"""The asset graph: raw_images, mobilenet_model, mobilenet_features, pca_model, reduced_features, store_report.

The audit's photo_splits and photo_audit go out from mobilenet_features, and audit_report from these.
"""

from fruits_assets.assets.audit import photo_audit, photo_splits
from fruits_assets.assets.audit_report import audit_report
from fruits_assets.assets.mobilenet import mobilenet_features, mobilenet_model
from fruits_assets.assets.pca import pca_model, reduced_features
from fruits_assets.assets.raw_images import raw_images
from fruits_assets.assets.store_report import store_report

ALL_ASSETS = [
    raw_images,
    mobilenet_model,
    mobilenet_features,
    pca_model,
    reduced_features,
    store_report,
    photo_splits,
    photo_audit,
    audit_report,
]
__all__ = [
    "ALL_ASSETS",
    "audit_report",
    "mobilenet_features",
    "mobilenet_model",
    "pca_model",
    "photo_audit",
    "photo_splits",
    "raw_images",
    "reduced_features",
    "store_report",
]
