"""Other libraries that patch rankers, in an environment of their own: their dependencies and ours exclude each other."""
