"""Evaluation: models, other methods and a bench -> how good each is.

Files and rooms in the order of the flow:

    config        the flags of `python -m pbe.evaluate`
    exemplar_use  how much better it denoises the hole with the right exemplar than with others
    bench         files or a dataset -> the cases that all methods edit
    methods       opened cases -> edited pictures
    metrics       pictures -> numbers
    copying       an exemplar pasted into a hole, and how much of one was pasted
    grid_scores   a training's sample grid -> how like their exemplars its pictures are
    summary       what a comparison found, as summary.json
    report        a summary -> report.html, table.md, table.tex
    running       methods and a bench -> pictures, scores and a summary, part by part
    ablation      a dataset -> the five rows of the paper, trained and compared
    overlap       two sets of photos -> the photos that are in both
"""
