"""Photos of a phone, of 12 megapixels, to features."""
