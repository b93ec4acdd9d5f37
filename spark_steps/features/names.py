"""Names of weights and of scalings, and how many features there may be: for settings and help, without numpy."""

from spark_steps.errors import CalledWronglyError

IMAGENET, RANDOM_PREFIX = "imagenet", "random:"
TF, UNIT, RAW, TORCH = SCALING_NAMES = ("tf", "unit", "raw", "torch")
# The PCA holds several square matrices of so many columns: 134 MB each at 4096.
LEAST_FEATURES, MOST_FEATURES = 2, 4096


def check_scaling(source: str | None, scaling: str) -> None:
    """Checks that a scaling is one of those there are, and that it is given for weights of one's own.

    Args:
        source: The weights source; None for the store's current network.
        scaling: The scaling.

    Raises:
        CalledWronglyError: It is not so.
    """
    if scaling not in SCALING_NAMES:
        raise CalledWronglyError(f"The scaling {scaling!r} is none of: {', '.join(SCALING_NAMES)}.")
    if scaling != TF and (source is None or source == IMAGENET or source.startswith(RANDOM_PREFIX)):
        of = "the network that the store has" if source is None else f"MobileNetV2, which {source} is"
        raise CalledWronglyError(
            f"The scaling {scaling} is for a file of weights that is given with it, and not for {of}. Leave the "
            "scaling out, or give the file (--weights FILE, or FRUITS_WEIGHTS)."
        )
