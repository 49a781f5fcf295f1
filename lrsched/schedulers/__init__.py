"""Schedulers: sequence → scheduler → optimizer; metric → rule → position. Only this wing writes param groups."""
