"""Carries a plan out in plain Python: threads, processes, Redis. Knows nothing of Django."""
