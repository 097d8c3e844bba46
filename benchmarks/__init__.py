"""Programs that measure the suite itself: `invoke benchmark NAME`, and `nox -s torture`."""
