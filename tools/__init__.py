"""What ./dev runs: setting up, the suite's supervisor, checks and measurements."""
