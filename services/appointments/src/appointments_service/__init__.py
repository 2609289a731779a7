"""Schedules, open times, bookings, and what they tell."""

__version__ = "0.1.0"
