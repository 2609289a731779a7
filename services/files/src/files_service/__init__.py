"""Medical reports: uploaded straight to S3, verified, and read by whoever sees the appointment."""

__version__ = "0.1.0"
