"""Responses sampled from a checkpoint, each from a random stream of its own."""
