"""Report: a summary, scores and pictures -> report.html, table.md, table.tex.

Files in the order of the flow:

"""
