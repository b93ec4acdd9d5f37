"""What people see of an audit: the text, the page, the contact sheet and the data card, whatever photos are called."""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from fruits_assets.commands.support.audit_card import Sources, as_card, escaped
from fruits_assets.commands.support.audit_page import as_page
from fruits_assets.commands.support.audit_text import as_text
from fruits_assets.commands.support.contact_sheet import as_contact_sheet
from spark_steps.audit.drift import Drift
from spark_steps.photos.limits import DecodeLimits
from spark_steps.queries.audit_report import AuditReport, FolderDrift, Kind, read_findings
from spark_steps.queries.report import StoreReport
from spark_steps.store.staleness import Staleness
from spark_steps.store.store import Store
from tests.support.audit.audited_store import audited_store, features, finding, report_of, split, write
from tests.support.photos import save_photo

HOSTILE = (
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;b&gt;",
    "![x](https:example.org)",
    "a|b`c`*d*~e~$f$",
    "\u202ereversed",
    "new\nline \x1b[31m\x00",
    "<!--",
    "]]>",
    "りんご 🍎",
)
SOURCES = Sources("/photos/fruits_2026", "f00d", {"raw_images": 3, "photo_splits": 0})
NAMES = [f"{folder}/{folder}.jpg" for folder in HOSTILE]


@pytest.fixture
def hostile(tmp_path: Path) -> AuditReport:
    """A report in which all that comes from names of folders and photos is hostile."""
    splits = [split(name, number // 2) for number, name in enumerate(NAMES)]
    kinds = ("exact_copy", "near_duplicate", "dark")
    findings = [finding(name, kind, "error", reason=f"It is {name}.") for name in NAMES for kind in kinds]
    rows = [features(name, brightness=0.5, contrast=0.1, format="<JPEG>") for name in NAMES]
    store = audited_store(tmp_path / "a & b", splits, findings, rows)
    drift = [FolderDrift(folder, Drift(1, 0.3, 1.5)) for folder in HOSTILE]
    return replace(report_of(store, 100), drift=drift, drift_of_newer=Drift(3, 0.25, 1.25))


def store_report(report: AuditReport) -> StoreReport:
    return StoreReport(
        store=report.store,
        folders=2,
        photos=12,
        photos_by_folder={},
        usable=11,
        rejected={"truncated": 1},
        rejected_photos=[{"path": "/photos/Fig/secret.jpg", "error": "truncated: /photos/Fig/secret.jpg"}],
        stale=Staleness(),
        reduced=11,
        pca_model="798a0a39cb0df528",
        components=50,
        variance_kept=0.781,
        weights={"source": "imagenet", "sha256": "1926c6e9"},
        bytes={"photos": 40_000_000},
    )


class Tags(HTMLParser):
    """The tags of a page, with their attributes, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, *names: str) -> Iterator[str]:
        return (value or "" for _, given in self.found for name, value in given.items() if name in names)


def test_the_page_is_well_formed_and_has_no_script_no_photo_and_nothing_from_elsewhere(hostile: AuditReport) -> None:
    page = as_page(hostile)
    root = ET.fromstring(page)  # noqa: S314
    tags = Tags(page)
    names = {tag for tag, _ in tags.found}
    assert names.isdisjoint({"script", "img", "iframe", "link", "object", "embed", "base", "form", "a"})
    assert "svg" in names
    assert list(tags.values("src", "href", "xlink:href", "srcset", "action", "style")) == []
    assert not any(name.startswith("on") for _, given in tags.found for name in given)
    (policy,) = (given["content"] for _, given in tags.found if given.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; ")
    assert "url(" not in page
    assert "@import" not in page
    # The only addresses are the names of the two XML languages.
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) == {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
    }
    assert root.tag.endswith("html")


def test_the_page_shows_names_as_they_are_and_characters_that_would_change_it_as_codes(hostile: AuditReport) -> None:
    words = " ".join(ET.fromstring(as_page(hostile)).itertext())  # noqa: S314
    for name in ('"><img src=x onerror=alert(1)>', "&lt;b&gt;", "<!--", "]]>", "りんご 🍎", "\\u202ereversed"):
        assert f"{name}/{name}.jpg" in words
    assert "new\\nline \\x1b[31m\\x00" in words
    assert "\u202e" not in words
    assert "3 photos are newer than the PCA model; their drift is 1.25." in words


def test_a_page_of_an_audit_that_found_nothing_is_whole_too(tmp_path: Path) -> None:
    page = as_page(report_of(audited_store(tmp_path, [split("Fig/1.jpg", 0)])))
    words = " ".join(ET.fromstring(page).itertext())  # noqa: S314
    assert "None." in words
    assert "no photo has a near-duplicate" in words


def test_the_terminal_gets_no_control_character_and_no_line_that_a_name_makes(hostile: AuditReport) -> None:
    shown = as_text(hostile)
    assert [one for one in shown if not one.isprintable() and one != "\n"] == []
    assert "new\\nline" in shown


def test_the_text_has_errors_first_then_examples_of_each_kind_and_the_labels(tmp_path: Path) -> None:
    splits = [split("Fig/1.jpg", 0), split("Fig/2.jpg", 0), split("Plum/1.jpg", 1, "test")]
    findings = [
        finding("Fig/1.jpg", "exact_copy", "error", 1.0, reason="The same bytes have the labels Fig and Plum."),
        *(finding(f"Fig/{number}.jpg", "dark", score=number / 10) for number in (1, 2)),
    ]
    lines = as_text(report_of(audited_store(tmp_path, splits, findings), examples=1)).splitlines()
    assert f"Store       {tmp_path}" in lines
    assert "Errors      1 exact_copy" in lines
    assert "Warnings    none" in lines
    assert "Notes       2 dark" in lines
    assert "Split       train 2 (66.7%), validation 0 (0.0%), test 1 (33.3%)" in lines
    assert "Balance     1 to 2 photos a label; 1 to 1 effective ones, after grouping" in lines
    settings = next(line for line in lines if line.startswith("Settings"))
    assert settings.startswith("Settings    cosine 0.95, neighbours 10, shares 0.7 / 0.15 / 0.15, seed 0")
    first = lines.index("exact_copy: the same bytes as another photo (1 of severity error)")
    assert lines[first + 1] == "  Fig/1.jpg: The same bytes have the labels Fig and Plum."
    assert lines[first + 3 : first + 6] == [
        "dark: low brightness (2 of severity info)",
        "  Fig/1.jpg: The photo is dark.",
        "  and 1 more",
    ]
    assert [line.split() for line in lines[-3:]] == [
        ["label", "photos", "effective", "train", "validation", "test"],
        ["Fig", "2", "1", "2", "0", "0"],
        ["Plum", "1", "1", "0", "0", "1"],
    ]


def test_of_many_labels_those_with_the_fewest_effective_photos_are_listed(tmp_path: Path) -> None:
    splits = [
        split(f"Fruit {label:02}/{number}.jpg", label * 100 + number)
        for label in range(40)
        for number in range(1 + (label < 10))
    ]
    lines = as_text(report_of(audited_store(tmp_path, splits))).splitlines()
    assert lines[-1] == "and 10 labels with more effective photos: --json, or --html FILE"
    assert [line[:8] for line in lines[-31:-1]] == [f"Fruit {label}" for label in range(10, 40)]


def test_faults_of_the_split_itself_are_named_in_the_text_and_on_the_page(tmp_path: Path) -> None:
    splits = [split("Fig/1.jpg", 0), split("Fig/2.jpg", 0, "test", audit="other"), split("Plum/1.jpg", 1)]
    report = report_of(audited_store(tmp_path, splits, of_features=[features("Fig/1.jpg")]))
    sentences = [
        "The split is not of the photos that have features in 2 folders such as 'Fig', 'Plum'.",
        "Groups of near-duplicates across splits: 1; exact copies across splits: 0.",
        "The rows are of 2 audits.",
        "The split test has no photo of the label 'Plum'.",
    ]
    text, page = as_text(report), as_page(report)
    for sentence in sentences:
        assert f"Problem     {sentence}" in text
        assert sentence.split("'")[0] in page


def test_the_card_names_sources_versions_split_and_findings_and_no_photo(hostile: AuditReport) -> None:
    card = as_card(hostile, store_report(hostile), SOURCES)
    for cell in (
        "| Photos | 12 found, 11 with features, 11 audited |",
        "| Source | /photos/fruits\\_2026 |",
        "| Weights | imagenet, sha256 1926c6e9 |",
        "| Network | f00d |",
        "| Tables | raw\\_images@3, photo\\_splits@0 |",
        "| PCA model | 798a0a39cb0df528, 50 components, which keep 78.1% of the variance |",
        "| Audit | 0123456789abcdef, ",
        "| Formats | 11 \\<JPEG\\> |",
        "| exact\\_copy | the same bytes as another photo | 11 | 0 | 0 |",
        "| truncated | 1 |",
    ):
        assert cell in card
    assert "secret" not in card
    assert not any(escaped(name) in card or name in card for name in NAMES)


def test_no_name_ends_a_cell_of_the_card_or_becomes_a_picture_a_link_or_html(hostile: AuditReport) -> None:
    card = as_card(hostile, store_report(hostile), SOURCES)
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table
    assert re.findall(r"(?<!\\)[<&`$~]", card) == []
    assert re.findall(r"(?<!\\)\[", card) == []


def photos_of(page: str) -> list[Image.Image]:
    sources = list(Tags(page).values("src"))
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


def sheet_of(root: Path, *found: Kind, limits: DecodeLimits = DecodeLimits()) -> str:  # noqa: B008
    page = as_contact_sheet(found, str(root), limits)
    ET.fromstring(page)  # noqa: S314
    return page


def kinds_of(root: Path, *rows: dict[str, object]) -> list[Kind]:
    store = Store(str(root / "store"))
    write(store.photo_audit, rows)
    return read_findings(store, 24)


def test_the_contact_sheet_holds_small_copies_with_nothing_of_exif_and_says_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "a camera with a name"
    save_photo(tmp_path / "Fig" / "1.jpg", colour=40, size=(600, 300), exif=exif)
    save_photo(tmp_path / "Fig" / "2.png", size=(30, 90))
    page = sheet_of(
        tmp_path, *kinds_of(tmp_path, finding("Fig/1.jpg", "dark"), finding("Fig/2.png", "dark", score=0.9))
    )
    wide, high = photos_of(page)
    assert (wide.size, high.size) == ((176, 88), (59, 176))
    assert (len(wide.getexif()), b"a camera" in base64.b64decode(page.encode("ascii", "ignore"))) == (0, False)
    assert np.abs(np.asarray(wide)[:, :, 2].astype(int) - 40).max() < 30
    assert "This page holds small copies of photos." in page
    assert "2 of 2, the worst first" in page


def test_a_photo_that_cannot_be_shown_has_its_reason_on_the_sheet(tmp_path: Path) -> None:
    save_photo(tmp_path / "Fig" / "large.jpg", size=(400, 400))
    (tmp_path / "Fig" / "text.jpg").write_text("no photo")
    names = ("gone", "large", "text")
    kinds = kinds_of(tmp_path, *(finding(f"Fig/{name}.jpg", "dark") for name in names))
    page = sheet_of(tmp_path, *kinds, limits=DecodeLimits(max_pixels=100_000))
    assert photos_of(page) == []
    words = " ".join(ET.fromstring(page).itertext())  # noqa: S314
    assert "vanished: it was listed, and is gone" in words
    assert "400 x 400 pixels, and at most 100000 are decoded" in words
    assert "not an image: " in words


def test_a_photo_of_several_kinds_is_on_the_sheet_under_each(tmp_path: Path) -> None:
    save_photo(tmp_path / "Fig" / "1.jpg")
    kinds = kinds_of(tmp_path, finding("Fig/1.jpg", "dark"), finding("Fig/1.jpg", "blurred"))
    page = sheet_of(tmp_path, *kinds)
    assert len(photos_of(page)) == 2
    assert page.index("dark: low brightness") < page.index("blurred: low sharpness")


def test_names_on_the_sheet_are_escaped(tmp_path: Path) -> None:
    kinds = kinds_of(tmp_path, *(finding(name, "dark", reason=name) for name in NAMES if "\x00" not in name))
    page = sheet_of(tmp_path, *kinds)
    assert {tag for tag, _ in Tags(page).found}.isdisjoint({"script", "img", "b"})
