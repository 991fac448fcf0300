"""What is measured on request: each file a probe, its numbers beside the code that measures."""
