"""Pictures for the metadata of assets, drawn as SVG.

``drawing`` draws curves and bars; ``photo_map`` draws the photos as points; both are made of the parts of ``svg``;
``variance_sketch`` draws a curve that is small enough for the UI to show it inline.
"""
