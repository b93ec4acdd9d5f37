"""Settings of an audit."""

from pydantic import BaseModel, Field

from spark_steps.audit.settings import AuditSettings, FlagThresholds

# The defaults, with their reasons, stand there.
_AUDIT, _FLAGS = AuditSettings(), FlagThresholds()


class AuditOptions(BaseModel):
    """What the audit looks for."""

    audit_cosine: float = Field(
        _AUDIT.cosine, gt=0, le=1, description="Photos are near-duplicates from this cosine of their features on."
    )
    audit_neighbours: int = Field(
        _AUDIT.neighbours, ge=1, le=100, description="Nearest photos whose labels are compared with a photo's own."
    )
    audit_validation: float = Field(_AUDIT.shares[1], ge=0, lt=1, description="Share of the photos for validation.")
    audit_test: float = Field(
        _AUDIT.shares[2], ge=0, lt=1, description="Share of the photos for test; the rest is for training."
    )
    audit_seed: int = Field(
        _AUDIT.seed, ge=0, le=2**31 - 1, description="Decides which of equal groups of photos go to which split."
    )
    audit_agreement: float = Field(
        _AUDIT.agreement,
        ge=0,
        lt=1,
        description="A photo is a label candidate if at most this share of its neighbours has its label.",
    )
    audit_majority: float = Field(
        _AUDIT.majority,
        gt=0.5,
        le=1,
        description="Or if at least this share of its group of near-duplicates has another label.",
    )
    audit_deviations: float = Field(
        _AUDIT.deviations, gt=0, description="Robust standard deviations from its label at which a photo is an outlier."
    )
    audit_dark: float = Field(_FLAGS.dark, ge=0, le=1, description="Brightness below which a photo is dark.")
    audit_bright: float = Field(_FLAGS.bright, ge=0, le=1, description="Brightness above which a photo is bright.")
    audit_blurred: float = Field(_FLAGS.blurred, ge=0, description="Sharpness below which a photo is blurred.")
    audit_low_contrast: float = Field(
        _FLAGS.low_contrast, ge=0, le=1, description="Contrast below which a photo has low contrast."
    )
    audit_tiny: int = Field(_FLAGS.tiny, ge=0, description="Pixels of the shorter side below which a photo is tiny.")
    audit_odd_aspect: float = Field(
        _FLAGS.odd_aspect, ge=1, description="Longer by shorter side above which the aspect is odd."
    )
    audit_one_colour: float = Field(
        _FLAGS.one_colour, ge=0, description="Colour spread below which a photo is nearly one colour."
    )

    @property
    def audit(self) -> AuditSettings:
        """What an audit is asked for."""
        train = round(1 - self.audit_validation - self.audit_test, 9)
        return AuditSettings(
            cosine=self.audit_cosine,
            neighbours=self.audit_neighbours,
            shares=(train, self.audit_validation, self.audit_test),
            seed=self.audit_seed,
            agreement=self.audit_agreement,
            majority=self.audit_majority,
            deviations=self.audit_deviations,
            thresholds=FlagThresholds(
                dark=self.audit_dark,
                bright=self.audit_bright,
                blurred=self.audit_blurred,
                low_contrast=self.audit_low_contrast,
                tiny=self.audit_tiny,
                odd_aspect=self.audit_odd_aspect,
                one_colour=self.audit_one_colour,
            ),
        )
