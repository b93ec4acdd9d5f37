"""Photos: found, fetched, decoded to pixels, or refused with a reason.

``listing`` finds them and plans raw_images; ``decoding`` makes pixels of bytes; ``bombs`` and ``limits`` refuse what
would cost too much; ``tombstones`` keep erased photos away.
"""
