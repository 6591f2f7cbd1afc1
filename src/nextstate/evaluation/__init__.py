"""Measuring what-ifs against the true simulator. Import from the submodules: some of them need no torch."""
