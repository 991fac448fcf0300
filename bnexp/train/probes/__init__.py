"""What is measured on request beside losses and accuracies."""
