"""The tables of a page, from numbers to the text of their cells."""
