"""Evaluation: a model and unseen photos -> how good it is.

Files in the order of the flow:

    exemplar_use  how much better it denoises the hole with the right exemplar than with others
"""
