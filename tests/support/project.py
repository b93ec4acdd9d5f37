"""Where the project, and real photos and weights beside it, lie."""

from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"
REAL_WEIGHTS = SHARED_DATA / "weights" / "mobilenet_v2_imagenet_int8_no_top.h5"
