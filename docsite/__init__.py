"""Builds the documentation site: `nox -s docs` runs MkDocs with the hooks in this package."""
