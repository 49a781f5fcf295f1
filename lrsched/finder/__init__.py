"""The finder: batches → range test → curve → suggestion, and the sweep. Everything they train is put back."""
