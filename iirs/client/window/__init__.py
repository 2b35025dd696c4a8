"""The Tk window: only here, and in gui.py, is tkinter imported."""
