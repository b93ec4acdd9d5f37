"""Photos: listed, fetched, decoded to pixels, or refused with a reason.

``listing`` finds photos and plans raw_images, by ``folder_tree`` and ``names``; ``other_files`` counts what is passed
over; ``fetching`` reads the bytes of photos; ``decoding`` decodes them to pixels, with ``jpeg``, ``tiff_layout`` and
``tiff_samples`` for what Pillow does not read, and ``kinds`` for what is not supported;
``bombs`` and ``limits`` refuse photos that would take too much time or memory; ``tombstones`` recognises erased photos.
"""
