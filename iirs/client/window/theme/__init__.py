"""Colours, fonts, shapes and pictures of numbers."""
