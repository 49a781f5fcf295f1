"""What this package costs in time and memory, and how good its suggested learning rates are."""
