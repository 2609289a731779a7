"""./dev replace: a newer build of one service in the place of the running one."""
