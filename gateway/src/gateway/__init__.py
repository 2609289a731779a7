"""A load balancer for one machine that behaves as the Application Load Balancer does."""

__version__ = "0.1.0"
