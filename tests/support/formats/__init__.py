"""Files of HEIC and AVIF: well made, put together by hand, and mutated."""
