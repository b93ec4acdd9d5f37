"""An emulator of AWS whose EMR really runs the steps, on a Spark standalone cluster of this machine."""

from tests.emr_emulator.client import Emulator

__all__ = ["Emulator"]
