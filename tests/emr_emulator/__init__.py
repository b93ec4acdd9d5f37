"""An emulator of AWS and Databricks that really runs the steps, on Spark's processes of this machine."""

from tests.emr_emulator.client import Emulator

__all__ = ["Emulator"]
