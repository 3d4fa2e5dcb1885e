"""Where work is executed and processes are started."""
