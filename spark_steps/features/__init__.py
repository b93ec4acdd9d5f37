"""Features of photos, a row of numbers each: the network is converted once, broadcast, and run on new photos only.

``mobilenet`` plans mobilenet_features; ``weights`` converts a weights source to a network; ``extractor`` runs it;
``quality`` checks the features.
"""
