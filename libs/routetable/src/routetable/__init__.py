"""Which service owns which path, and the load balancer's rules for finding out.

The gateway routes by `TABLE`, and the deployment turns the same rules into listener rules, so
that both always agree.
"""

from routetable.patterns import PathPattern, PatternError
from routetable.table import TABLE, Route, RouteTable, RouteTableError, Rule

__all__ = ["TABLE", "PathPattern", "PatternError", "Route", "RouteTable", "RouteTableError", "Rule"]
__version__ = "0.1.0"
