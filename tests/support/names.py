"""Names of folders and photos that file systems allow and programs trip over."""

from pathlib import Path

HOSTILE_FOLDERS = (
    "Apple Braeburn",
    "a%20b",
    "p+q",
    "k=v",
    "école",
    "br[1]ackets",
    "st*r",
    "cur{l}y",
    "q?m",
    "h#h",
    "back\\slash",
    "co:lon",
    "quo'te\"",
    "_under",
    "0123",
    "Training",
    "Training/Sub one",
    "Training/_hidden/deeper",
    "c:d [x]",
)


HOSTILE_NAMES = ("x 1.jpg", "_DSC1234.JPG", "%41.jpeg", "a?b#c.PNG", "é+=.tiff", "n\nl.gif")


def write_hostile(images: Path) -> Path:
    """Writes files of all these names into folders of all these names; returns the images root."""
    for folder in HOSTILE_FOLDERS:
        for name in HOSTILE_NAMES:
            file = images / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"photo")
    return images
