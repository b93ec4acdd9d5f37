"""Photos: listed, fetched, decoded to pixels, or refused with a reason.

``listing`` finds photos and plans raw_images, by ``folder_tree`` and ``names``; ``other_files`` counts what is passed
over; ``fetching`` reads the bytes of photos; ``decoding`` decodes them to pixels, with ``formats`` for what Pillow does
not read or know, and ``colour`` converts them to sRGB;
``bombs`` and ``limits`` refuse photos that would take too much time or memory; ``tombstones`` recognises erased photos.
"""
