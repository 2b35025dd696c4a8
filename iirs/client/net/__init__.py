"""The framed TLS line to the entry, and the moment at which an upload leaves."""
