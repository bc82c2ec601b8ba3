"""Metrics: pictures, or features of them -> numbers.

Files in the order of the flow:

"""
