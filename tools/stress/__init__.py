"""./dev stress: a history of booking under faults, checked against a sequential model."""
