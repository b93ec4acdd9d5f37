"""Compares the pixels of photos with those of independent writers and decoders, over generated files and test suites.

``combinations`` and ``heifs`` write files with tifffile, OpenCV and imagecodecs and know the picture of each;
``references`` decodes foreign files with the same libraries; ``comparison`` compares and counts. The command is in
``__main__``.
"""
