"""An emulator of AWS whose EMR and EMR Serverless really run the steps, on Spark's own processes of this machine."""

from tests.emr_emulator.client import Emulator

__all__ = ["Emulator"]
