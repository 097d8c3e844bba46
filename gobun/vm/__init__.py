"""Runs the matrix in a virtual machine with another processor, kernel or C library.

The host plans, builds and fetches; the guest runs cells, and writes each result into a folder that
both see. ``docs/arm64.md`` is the guide.
"""
