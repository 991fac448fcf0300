"""What is measured on request: each file a probe, its numbers beside the code that measures.

A new file with a `PROBE` is found by its name, which is its key in `eval`; that key's line in
conf/config.yaml is all that it needs besides.
"""
