"""Pairing: photos with masks of your own -> the same job."""
