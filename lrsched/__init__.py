"""Learning-rate schedules as pure functions of a position, and what decides the position."""

__version__ = "0.1.0"
