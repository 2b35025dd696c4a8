"""What a window shows and what can be asked of it, without Tk."""
