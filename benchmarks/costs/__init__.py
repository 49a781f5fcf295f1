"""What this package costs in time and memory, and how good the learning rates are that it suggests."""
