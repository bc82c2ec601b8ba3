"""Painting: a model and a browser's page -> pictures that one paints there.

Files in the order of the flow; only the painter and what follows import torch or gradio:

    config    flags, and how much a visitor may ask for
    asked     what a visitor sent -> source.png, mask.png, exemplar.png, and the flags that edit them
    download  a painting's folder -> one file to keep: pictures, inputs, record
    samples   the sample photos -> what can be clicked to begin
    painter   what a visitor asks for -> previews step by step, then pictures
    upload    gradio's editor of pictures, which opens no picture itself
    sweep     the folder of visitors' files -> without those of more than an hour ago
    page      the page: what is on it, and what its buttons do
    door      a request -> the page's answer, or one line why there is none
    server    the page -> 127.0.0.1, until Ctrl-C
"""
