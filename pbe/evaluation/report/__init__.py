"""Report: a summary, scores and pictures -> report.html, table.md, table.tex.

Files in the order of the flow:

    numbers      a metric's value -> text
    reported     what papers say of themselves -> a table of its own
    tables       a summary -> the main table, which all three files share
    text_tables  the tables -> table.md and table.tex
    differences  paired differences -> a matrix for each metric
    choosing     scores -> the cases to show: the worst, the best, failures, seeded others
    charts       a summary and scores -> bars, guidance curves, copying against similarity
    cards        chosen cases -> pictures and scores
    page         tables, charts and cards -> report.html
    writing      an evaluation's folder -> the three files

The page and its style lie in templates/; what all pages have in common is pipeline.pages'.
"""
