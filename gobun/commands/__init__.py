"""The Invoke tasks, one module per topic. Each parses flags, calls gobun and prints the result."""
