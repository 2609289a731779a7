"""The use cases: what callers may do with schedules and appointments."""
