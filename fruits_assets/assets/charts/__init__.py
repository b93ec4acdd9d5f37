"""Pictures for the metadata of assets, drawn with matplotlib or as a few hundred bytes of SVG.

``drawing`` draws curves and bars; ``photo_map`` the photos as points; ``variance_sketch`` the curve that the UI shows
in its place.
"""
