"""Published experiments on learning rates, run again, and a verdict on each of their claims."""
