"""What the platform uses of EMR on EC2."""

from fruits_assets.engines.emr.engine import EmrEngine
from fruits_assets.engines.emr.launcher import FruitsEmrStepLauncher
from fruits_assets.engines.registry import EngineEntry

ENTRY = EngineEntry(make_engine=EmrEngine, make_launcher=FruitsEmrStepLauncher, runs_jobs_alone=False)
