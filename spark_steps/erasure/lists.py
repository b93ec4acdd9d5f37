"""Reads lists of photos as editors, spreadsheets and shells save them."""

import codecs
import csv
import re

from spark_steps.errors import FruitsError

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_ZIP = b"PK\x03\x04"
# The first line of a column that was cut from an export.
_HEADERS = ("image_id", "path")
_COLUMNS = re.compile(r"\s*[,;\t]\s*")
_REMEDY = "Save it as UTF-8, with an image id or a path on each line."


def text_of(content: bytes, source: str) -> str:
    """Decodes a list: UTF-8, or UTF-16 or UTF-32 with a byte order mark, as Notepad and PowerShell write them.

    Other encodings are refused and not guessed, as charset-normalizer would guess them: what a list names is erased.

    Args:
        content: The bytes of the list.
        source: What the list is, as the beginning of an error message.

    Raises:
        FruitsError: The list is in another encoding, or is no text.
    """
    if content.startswith(_ZIP):
        raise FruitsError(f"{source} is a workbook or an archive, not text. {_REMEDY}")
    encoding = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        guess = "; perhaps it is in Windows-1252, which editors call ANSI" if encoding == "utf-8" else ""
        raise FruitsError(
            f"{source} is not {encoding.upper()} in line {line} ({error.reason}){guess}. {_REMEDY}"
        ) from error
    if "\0" in text:
        raise FruitsError(f"{source} is no text, or is in UTF-16 without a byte order mark. {_REMEDY}")
    return text


def entries_of(text: str, source: str) -> list[str]:
    """Returns the entries of a list: its lines, without empty ones, a spreadsheet's quotes, and the header of a column.

    White space at the end of a line is dropped: no photo's name ends in it.

    Args:
        text: The list.
        source: What the list is, as the beginning of an error message.

    Raises:
        FruitsError: The lines have several columns, or do not end in a line feed.
    """
    if "\r" in text.rstrip() and "\n" not in text:
        raise FruitsError(f"{source} ends its lines with carriage returns alone. {_REMEDY}")
    entries = [_unquoted(line.rstrip(), source) for line in text.split("\n") if line.strip()]
    columns = _COLUMNS.split(entries[0].lower()) if entries and "/" not in entries[0] else []
    if len(columns) > 1 and set(_HEADERS).intersection(columns):
        # The head of a table without quotes, each line of which would be taken for the name of a photo.
        raise FruitsError(f"{source} has {len(columns)} columns in the line {entries[0]}. {_REMEDY}")
    return entries[1:] if entries and entries[0].lower() in _HEADERS else entries


def _unquoted(line: str, source: str) -> str:
    # A name may hold quotes too, but no photo's name ends in one.
    if len(line) < 2 or not (line.startswith('"') and line.endswith('"')):
        return line
    try:
        # Strict: otherwise a second column after a semicolon or a tab becomes a part of the name.
        cells = next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise FruitsError(
            f"{source} has more than one column, or quotes that are not doubled, in the line {line}. {_REMEDY}"
        ) from error
    if len(cells) != 1:
        raise FruitsError(f"{source} has {len(cells)} columns in the line {line}. {_REMEDY}")
    return cells[0]
