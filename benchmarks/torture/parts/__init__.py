"""The parts, a module for each topic."""
