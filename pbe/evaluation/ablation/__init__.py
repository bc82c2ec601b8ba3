"""Ablation: a dataset -> the paper's five rows, trained one after the other and evaluated into one table.

Files in the order of the flow:

    rows      the paper's five rows -> the trainer's flags, and a METHOD of the comparison each
    config    the command line -> what is trained, and how it is evaluated
    prior     weights to start from -> what must be known of them, or why no row can start from them
    checks    what is wrong with any of it, said before the first training
    absent    a row that was not trained, as a method that says why
    training  a row -> its trained model, by the trainer as a process of its own
    run       all of it, step by step
"""
