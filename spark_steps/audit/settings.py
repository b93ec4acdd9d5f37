"""What an audit is asked for; without numpy, for settings and help."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FlagThresholds:
    """What a photo is flagged below or above.

    The defaults lie between good photos and planted faults, as ``benchmarks/studies/quality.py`` measures them; the
    figures are in docs/benchmarks.md. Numbers in brackets are the nearest of 3,091 photos of Fruits-360, none of which
    is flagged.

    Attributes:
        dark: Brightness below which a photo is dark (0.387).
        bright: Brightness above which a photo is bright (0.91): the default of CleanVision for ``light``.
        blurred: Sharpness below which a photo is blurred (0.0233). Blurs by 1.5 % of the shorter side and more are at
            most 0.013; blurs by 1 % are from 0.01 to 0.036, on both sides of the threshold.
        low_contrast: Contrast below which a photo has low contrast (0.478).
        tiny: Pixels of the shorter side below which a photo is tiny (100). Chosen, not measured: the network would see
            such a photo enlarged 3.5 times and more.
        odd_aspect: Ratio of the longer to the shorter side above which the aspect is odd (1): that of the basic filter
            of DataComp (Gadre et al. 2023).
        one_colour: Colour spread below which a photo is nearly one colour (0.31).
    """

    dark: float = 0.15
    bright: float = 0.95
    blurred: float = 0.02
    low_contrast: float = 0.15
    tiny: int = 64
    odd_aspect: float = 3.0
    one_colour: float = 0.04


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
