"""iirs: a chat that hides not only what people say but that they say it."""

__version__ = "0.1.0"
PROTOCOL_VERSION = 3
