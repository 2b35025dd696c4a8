"""Text as it is shown: translation, safe display, links, layout."""
