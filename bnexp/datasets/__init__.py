"""What must be known of images before a network is made or a run has an id; without PyTorch."""
