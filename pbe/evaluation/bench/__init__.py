"""Bench: files or a dataset -> the cases that all methods edit.

Files in the order of the flow:

    cases        what a bench is, and how its cases are opened
    limits       cases and a number -> that many of them, a seeded choice
    cocoee       a folder in COCOEE's layout -> its cases
    annotations  COCO's instances -> the labels of cases
    opening      --bench -> a bench
    preflight    a bench -> all that is wrong with it
    recorded     a bench as an evaluation's bench.parquet, and its pictures from there
    digests      a bench -> the digests of its files, and its own
"""
