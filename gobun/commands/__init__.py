"""The Invoke tasks, a module a topic: arguments in, one call into gobun, a line out."""
