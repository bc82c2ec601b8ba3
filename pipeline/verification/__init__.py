"""Verification: dataset -> what is wrong with it."""
