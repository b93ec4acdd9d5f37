"""What a process may read and decode, and how much a task is given."""

from dataclasses import dataclass, field

# A warm Python task costs 50 to 80 ms and a photo 10: with this many photos per task the overhead is about 1 %.
PHOTOS_PER_TASK = 512


@dataclass(frozen=True)
class FetchLimits:
    """How much is read ahead of the network, in each worker process.

    Attributes:
        photos: Photos on their way at the same time; hides the latency of an object store. A worker gets at most
            photos / latency: 8 at 50 ms are 160 a second, and 32 are 640. Photos come in their order, so one late
            answer holds up the rest: 32 last the network for 0.2 to 0.3 seconds, 8 for 0.05 to 0.08.
        total_bytes: Bytes on their way at the same time; one photo is always let through.
        max_bytes: Bytes above which a photo is refused, were it to have grown since it was listed.
    """

    photos: int = 32
    total_bytes: int = 64 * 1024 * 1024
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class DecodeLimits:
    """What a worker process will decode.

    Attributes:
        fetch: How much is read ahead.
        max_pixels: Width times height above which a photo is refused: 120 million take 0.5 GB as RGB.
    """

    fetch: FetchLimits = field(default_factory=FetchLimits)
    max_pixels: int = 120_000_000
