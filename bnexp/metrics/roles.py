"""What a layer is called, wherever in a network it stands."""


def role(name: str) -> str:
    """Return a module's dotted name without outer names that an inner one begins with.

    A layer of a block is named after it, `block1.block1_fc1`: it is `block1_fc1` with a
    shortcut around it as without one.
    """
    parts = name.split(".")
    inner = [*parts[1:], ""]
    return ".".join(
        part
        for part, next_ in zip(parts, inner, strict=True)
        if not next_.startswith(f"{part}_")
    )
