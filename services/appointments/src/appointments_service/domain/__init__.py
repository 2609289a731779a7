"""The rules of schedules and appointments: frozen shapes and pure functions, no I/O, no clock."""
