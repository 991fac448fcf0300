"""The program of a GPU: layers of all runs as kernels of its own."""
