"""What a client keeps on its machine: the encrypted file, history, pins, preferences."""
