"""Kernels in Triton, a language within Python; what calls them stands beside this folder."""
