"""An images root that changes: folders and photos that come, go, break, and are replaced by others of the same name."""

import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.photo_corpus import BAD, GOOD, encoded

# The small ones: what they cost is not what is looked for here.
_ODD = [
    *(GOOD[name] for name in ("cmyk jpeg", "rotated jpeg", "16-bit grey", "animated gif", "one pixel")),
    *(BAD[name][1] for name in ("no bytes", "a letter", "half a jpeg", "a thousand scans")),
]
_FOLDERS = ("Apple", "Banana", "Pear/Conference", "Pear", "folder=x", "_x", "%41", "Pêche", "quo'te", "a b")


class ImagesRoot:
    """A folder of photos that changes at random; equal seeds make equal changes."""

    def __init__(self, root: Path, randomly: random.Random) -> None:
        self.root, self._randomly = root, randomly
        self.changes, self._own = 0, set[bytes]()
        for folder in _FOLDERS[:4]:
            for _ in range(3):
                self._add(folder)

    def photos(self) -> list[Path]:
        """Returns the files there are, sorted."""
        return sorted(file for file in self.root.rglob("*") if file.is_file())

    def own_photos(self, most: int) -> list[Path]:
        """Returns some photos, drawn by lot, of which there never was a copy."""
        own = [photo for photo in self.photos() if photo.read_bytes() in self._own]
        return self._randomly.sample(own, min(most, len(own)))

    def change(self, times: int) -> None:
        """Makes so many changes."""
        for _ in range(times):
            photos = self.photos()
            what = self._randomly.choice(("add", "add", "odd", "delete", "replace", "delete folder", "rename folder"))
            if what == "add" or len(photos) < 8:
                self._add(self._randomly.choice(_FOLDERS))
            elif what == "odd":
                self._write(self._randomly.choice(_FOLDERS), self._randomly.choice(_ODD)())
            elif what == "delete":
                self._randomly.choice(photos).unlink()
            elif what == "replace":
                self._randomly.choice(photos).write_bytes(self._photo())
            else:
                folder = self._randomly.choice(photos).parent
                if what == "delete folder":
                    shutil.rmtree(folder)
                else:
                    folder.rename(self.root / f"Renamed {self._randomly.randrange(10**6)}")
            self.changes += 1

    def _add(self, folder: str) -> None:
        self._write(folder, self._photo())

    def _write(self, folder: str, data: bytes) -> None:
        file = self.root / folder / f"{self._randomly.randrange(10**9)}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def _photo(self) -> bytes:
        size = (self._randomly.randint(20, 60), self._randomly.randint(20, 60))
        noise = np.random.default_rng(self._randomly.randrange(2**32)).integers(0, 255, (*size, 3), dtype=np.uint8)
        photo = encoded(Image.fromarray(noise), "JPEG")
        self._own.add(photo)
        return photo
