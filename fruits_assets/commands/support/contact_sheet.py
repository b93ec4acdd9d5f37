"""A contact sheet of the audit's findings: one HTML page that holds small copies of photos, for this machine alone."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image

from fruits_assets.commands.support.audit_page import document, text
from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import Photo, decode
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import DecodeLimits
from spark_steps.queries.audit_report import KINDS, Finding, Kind

_SIDE, _QUALITY = 176, 85


def as_contact_sheet(kinds: Sequence[Kind], images: str, limits: DecodeLimits) -> str:
    """Returns a page with the photos of the examples of each kind.

    Photos are read, decoded and refused as in a run. The copies are made of their pixels alone, so nothing of EXIF is
    in them.

    Args:
        kinds: The findings with their examples.
        images: The images root, a normalised location.
        limits: What may be read and decoded.
    """
    paths = list(dict.fromkeys(one.path for kind in kinds for one in kind.examples))
    pictures = dict(zip(paths, _pictures(paths, images, limits), strict=True))
    notice = (
        "This page holds small copies of photos. An erasure does not reach it: delete it when you have looked at it."
    )
    return document(
        "Contact sheet of the audit",
        [f"<p><strong>{notice}</strong></p>", *(part for kind in kinds for part in _section(kind, pictures))],
    )


def _section(kind: Kind, pictures: Mapping[str, str]) -> Iterable[str]:
    meaning = f": {KINDS[kind.kind]}" if kind.kind in KINDS else ""
    yield f"<h2>{text(kind.kind + meaning)}</h2>"
    shown = len(kind.examples)
    yield f"<p>{shown:,} of {kind.findings:,}, the worst first</p>"
    yield "".join(_figure(one, pictures[one.path]) for one in kind.examples)


def _figure(finding: Finding, picture: str) -> str:
    return (
        f"<figure>{picture}<figcaption><strong>{text(finding.label)}</strong><br/>{text(finding.path)}<br/>"
        f"{text(finding.reason)}</figcaption></figure>"
    )


def _pictures(paths: Sequence[str], images: str, limits: DecodeLimits) -> Iterable[str]:
    """Yields each photo as an element of HTML, or the reason why it cannot be shown."""
    # Lengths are not known here. With the greatest for each, no more bytes are read ahead than the limits allow.
    wanted = ((f"{images}/{path}", limits.fetch.max_bytes) for path in paths)
    for content in fetch(wanted, limits.fetch):
        try:
            if isinstance(content, UnusablePhotoError):
                raise content
            yield _as_image(decode(content, limits.max_pixels))
        except UnusablePhotoError as error:
            yield f"<p>{text(str(error))}</p>"


def _as_image(photo: Photo) -> str:
    longest = max(photo.width, photo.height)
    width, height = (max(1, round(_SIDE * side / longest)) for side in (photo.width, photo.height))
    written = io.BytesIO()
    Image.fromarray(photo.pixels).resize((width, height)).save(written, "JPEG", quality=_QUALITY)
    encoded = base64.b64encode(written.getvalue()).decode()
    return f'<img width="{width}" height="{height}" alt="" src="data:image/jpeg;base64,{encoded}"/>'
