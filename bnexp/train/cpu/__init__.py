"""What makes training fast on a CPU: whole networks in C, for one thread."""
