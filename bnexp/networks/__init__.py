"""The networks under study, shipped and of one's own, and their layers that draw."""
