"""An emulator of AWS whose EMR, EMR Serverless, Glue and Databricks really run the steps, on Spark's processes of this machine."""

from tests.emr_emulator.client import Emulator

__all__ = ["Emulator"]
