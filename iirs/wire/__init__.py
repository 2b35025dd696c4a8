"""The bodies of messages between client and server, as values: ``docs/protocol.md`` section 3."""
