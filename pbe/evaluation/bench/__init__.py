"""Bench: files or a dataset -> the cases that all methods edit.

Files in the order of the flow:

    cases     what a bench is, and how its cases are opened
    recorded  a bench as an evaluation's bench.parquet, and its pictures from there
"""
