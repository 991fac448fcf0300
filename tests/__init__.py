"""The laws that bnexp keeps, one file of tests for each module."""
