"""The asset graph: raw_images, mobilenet_model, mobilenet_features, pca_model, reduced_features, store_report."""

from fruits_assets.assets.mobilenet import mobilenet_features, mobilenet_model
from fruits_assets.assets.pca import pca_model, reduced_features
from fruits_assets.assets.raw_images import raw_images
from fruits_assets.assets.store_report import store_report

ALL_ASSETS = [raw_images, mobilenet_model, mobilenet_features, pca_model, reduced_features, store_report]
__all__ = [
    "ALL_ASSETS",
    "mobilenet_features",
    "mobilenet_model",
    "pca_model",
    "raw_images",
    "reduced_features",
    "store_report",
]
