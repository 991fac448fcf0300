"""What makes training fast on a CPU: kernels in C, and the blocks that use them."""
