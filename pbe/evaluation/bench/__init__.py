"""Bench: files or a dataset -> the cases that all methods edit.

Files in the order of the flow:

    cases         what a bench is, and how its cases are opened
    limits        cases and a number -> that many of them, a seeded choice
    cocoee        a folder in COCOEE's layout -> its cases
    annotations   COCO's instances -> the labels of cases
    cut_note      what a bench that was cut from a dataset is <-> bench.json beside its table
    opening       --bench -> a bench
    split_rows    a dataset and a split -> its samples
    partners      samples -> for each an object of its class in another photo
    cut_choice    samples of a split -> those that become cases
    cut_pictures  index rows -> source, mask and exemplar
    cutting       a dataset -> OUT/bench, opened
    preflight     a bench -> all that is wrong with it
    recorded      a bench as an evaluation's bench.parquet, and its pictures from there
    digests       a bench -> the digests of its files, and its own
"""
