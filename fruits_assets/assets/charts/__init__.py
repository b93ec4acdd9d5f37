"""Pictures for the metadata of assets, drawn with matplotlib or as a few hundred bytes of SVG.

``drawing`` draws curves and bars; ``photo_map`` draws the photos as points, and ``lettering`` chooses how their labels
are written; ``variance_sketch`` draws a curve that is small enough for the UI to show it inline.
"""
