"""Benchmarks, run by hand (`make bench`): each prints its ratio beside the limit it is held against."""
