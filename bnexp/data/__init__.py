"""Images and labels: the published files, and what a run trains on."""
