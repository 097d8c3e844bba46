"""Measures how much abuse the suite withstands: `nox -s torture`, with the table in docs/trust.md.

Add a part: write a function in a module below ``parts/``, with ``@part`` above it. The registry
imports every module there, so there is no list to edit:

    @part(seconds=60)
    def fuzz_toml(budget: Budget) -> Iterator[Figure]:
        \"\"\"Feed random bytes to the TOML reader.\"\"\"
        while budget.remains():
            ...
        yield Figure("uncaught exceptions", count, at_most=0)

Each part runs in a process of its own, with its own folder for temporary files. The runner adds the
figures of every part: the part ends in time, raises nothing, and leaves no process, descriptor or
temporary file.
"""
