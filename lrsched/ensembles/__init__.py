"""Ensembles: many copies of one model, trained side by side as one batched model."""
