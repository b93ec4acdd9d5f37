"""Which names are those of photos, and which folders nobody has sorted photos into."""

import re
from pathlib import Path

# The endings that programs give to files of the formats that can be decoded. jpg_large is how browsers have saved
# photos of Twitter.
PHOTO_EXTENSIONS = (
    *("jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "jpg_large", "jpg-large", "mpo"),
    *("heic", "heif", "hif", "avif"),
    *("png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
)
# Folders for thumbnails, deleted files and snapshots that are not hidden by a dot, in lower case. None is a word that
# may be a label, such as the "Recycled" of old systems.
_SYSTEM_FOLDERS = frozenset(
    (
        *("lost+found", "found.000", "system volume information", "$recycle.bin"),
        *("__macosx", "network trash folder"),
        # Synology, QNAP and NetApp.
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "~snapshot"),
    )
)
# Files that operating systems create in folders. .DS_Store is not listed here because its dot hides it.
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")


def is_photo(name: str) -> bool:
    """Returns whether a file name is that of a photo: it has a known extension, in any case, and no leading dot."""
    return not name.startswith(".") and "." in name and name.rsplit(".", 1)[1].lower() in PHOTO_EXTENSIONS


def is_system_folder(name: str) -> bool:
    """Returns whether a folder's name begins with a dot, or is one that systems give to folders of their own."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def ending_of(name: str) -> str | None:
    """Returns the ending of a file's name in lower case, ``""`` if it has none.

    Returns None for a hidden file and for a file that an operating system creates.

    Args:
        name: Name of a file that is not a photo.
    """
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return None
    ending = Path(name).suffix.lower()
    return ending if re.fullmatch(r"\.\w{1,10}", ending) else ""
