"""How every process of the suite is watched: its log lines, its metrics, its traces.

The services and the gateway use it alike, so it knows nothing of any web framework.
"""

__version__ = "0.1.0"
