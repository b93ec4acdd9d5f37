"""The audit of a store's photos: what of them may harm what is trained on them.

``flags`` judges the measures of each photo's quality.
"""
