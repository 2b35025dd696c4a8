"""The server: connections, the mix net, the dead drops, the accounts."""
