"""Lists of photos as Notepad, Excel, PowerShell and other programs save them."""

import pytest

from spark_steps.erasure.lists import entries_of, text_of
from spark_steps.errors import FruitsError

LIST = "Pêche/1.jpg\r\nFig/a b.jpg\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        b"\xfe\xff" + LIST.encode("utf-16-be"),
        LIST.encode("utf-32"),
        LIST.replace("\r", "").encode(),
        b'"Path"\r\n"P\xc3\xaache/1.jpg"\r\nFig/a b.jpg\r\n',
        b'\xef\xbb\xbf"path"\n"P\xc3\xaache/1.jpg"\n"Fig/a b.jpg"',
        "image_id\nPêche/1.jpg   \nFig/a b.jpg\t\n   \n".encode(),
    ],
)
def test_a_list_of_each_program_has_the_same_entries(content: bytes) -> None:
    assert entries_of(text_of(content, "The list"), "The list") == ["Pêche/1.jpg", "Fig/a b.jpg"]


def test_names_with_quotes_commas_and_spaces_are_kept() -> None:
    text = 'path, a/0.jpg\n"Fig, ""ripe""/1.jpg"\n"Fig"/2.jpg\n  Fig/3.jpg\nFig/path\nFig/a,b;c.jpg\n"a,b.jpg"\n'
    assert entries_of(text, "The list") == [
        "path, a/0.jpg",
        'Fig, "ripe"/1.jpg',
        '"Fig"/2.jpg',
        "  Fig/3.jpg",
        "Fig/path",
        "Fig/a,b;c.jpg",
        "a,b.jpg",
    ]
    assert entries_of("", "The list") == entries_of("path\n", "The list") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Fig/1.jpg\nPêche/1.jpg\n".encode("cp1252"), "is not UTF-8 in line 2 .*Windows-1252, which editors call ANSI"),
        ("Fig/1.jpg\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfeF", "is not UTF-16"),
        (b"PK\x03\x04" + bytes(range(256)), "is a workbook or an archive"),
        (b"Fig/1.jpg\rFig/2.jpg\r", "carriage returns alone"),
        (b'"Fig/1.jpg","Fig"\r\n', "has 2 columns in the line"),
        (b'"Fig/1.jpg";"Fig"\r\n', "has more than one column, or quotes that are not doubled, in the line"),
        (b'"Fig/1.jpg"\t"Fig"\r\n', "has more than one column, or quotes that are not doubled, in the line"),
        (b'"Fig/a "b".jpg"\n', "has more than one column, or quotes that are not doubled, in the line"),
        (b"Path;Label\r\nFig/1.jpg;Fig\r\n", "has 2 columns in the line Path;Label"),
        (b"image_id, path,label\n", "has 3 columns in the line image_id, path,label"),
    ],
)
def test_a_list_that_cannot_be_read_for_certain_is_refused_with_its_encoding(content: bytes, message: str) -> None:
    with pytest.raises(FruitsError, match=rf"The list .*{message}.* Save it as UTF-8"):
        entries_of(text_of(content, "The list"), "The list")
