"""From photos to 1280 numbers: the network is converted once, broadcast, and run on new photos alone.

``mobilenet`` plans mobilenet_features; ``weights`` turns a weights source into a network; ``extractor`` runs it.
"""
