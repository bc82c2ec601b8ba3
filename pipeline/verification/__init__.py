"""Verification: dataset -> what is wrong with it.

Files in the order of the flow:

    dataset   dataset -> what is wrong with its files, tables, records and sums
    units     records -> what is wrong with their shards, indexes and drops
    problems  a file -> its content, or a problem and how to fix it
"""
