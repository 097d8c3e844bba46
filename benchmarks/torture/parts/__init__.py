"""The parts. Each topic has a module."""
