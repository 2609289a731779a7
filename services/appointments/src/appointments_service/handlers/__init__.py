"""Parse, call the use case, answer."""
