"""Replications of published experiments on learning rates, and a verdict on each of their claims."""
