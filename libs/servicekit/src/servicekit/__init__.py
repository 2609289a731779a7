"""What the three services have in common: operations, problems, health, metrics, logs."""

__version__ = "0.1.0"
