"""What an audit is asked for."""

from dataclasses import dataclass, field

from spark_steps.audit.flags import FlagThresholds


@dataclass(frozen=True)
class AuditSettings:
    """The settings of an audit.

    Attributes:
        cosine: Two photos are near-duplicates from this cosine of their features on. Of Fruits-360 photos at 0.95,
            95.9 % have a near-duplicate, and none has one of another label.
        neighbours: Number of nearest photos whose labels are compared with a photo's own.
        shares: The parts of train, validation and test, which add up to 1.
        seed: Decides which groups of equal size go to which split.
        agreement: A photo is a label candidate if at most this share of its neighbours has its label.
        majority: A photo in a group of near-duplicates is a label candidate if at least this share of the group has one
            other label.
        deviations: A photo is an outlier if it is further from its label than the median photo by so many standard
            deviations, estimated by the median absolute deviation. 3.5 is the limit of Iglewicz and Hoaglin (1993),
            "How to Detect and Handle Outliers".
        thresholds: Thresholds of the quality flags.
    """

    cosine: float = 0.95
    neighbours: int = 10
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    seed: int = 0
    agreement: float = 0.1
    majority: float = 0.8
    deviations: float = 3.5
    thresholds: FlagThresholds = field(default_factory=FlagThresholds)
