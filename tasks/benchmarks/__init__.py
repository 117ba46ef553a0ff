"""The benchmarks that are built in, each a YAML file, and the loader of such files."""
