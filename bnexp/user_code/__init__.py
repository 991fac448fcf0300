"""Code of the user: its source, read without running it, and the functions in it."""
