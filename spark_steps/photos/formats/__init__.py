"""What Pillow does not know about single formats of photos.

``jpeg`` finds where a JPEG's pixels end. ``tiff_layout`` and ``tiff_samples`` read what Pillow misreads or refuses.
``heif`` opens HEIC and AVIF; ``boxes``, ``heif_items`` and ``coded_pictures`` read what decoding one would cost.
``profiles`` writes colour profiles for colours that a file names by a number. ``kinds`` names what is not supported.
"""
