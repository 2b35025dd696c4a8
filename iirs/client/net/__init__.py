"""Framed TLS to the entry, and the moment at which an upload leaves."""
