"""What this package costs, in time and memory, and how good its suggestions are."""
