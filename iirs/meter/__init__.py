"""What the noise of a chain buys, and for how long."""
