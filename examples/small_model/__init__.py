"""The shipped small model: what it was trained on, and by which commands (README.md).

Files in the order of the flow:

    scenes   a generator -> a picture of one textured object on a ground, and the object's box
    sources  folders of photos -> the free ones, with licences, holders and boxes
    photos   folders of free photos and generated scenes -> an Open Images folder to shard
    unseen   the photos that these leave out -> an Open Images folder to measure on
    losses   a model and unseen photos -> how much better it denoises with the right exemplar
    evidence a model and unseen photos -> by guidance, what it paints against what the controls score
    samples  the sample photos -> sources, holes, exemplars, and edits of them
    swap     a model and eight exemplars -> eight edits of one hole, also for a reader who must not know which is which
    nearest  pictures and a training's dataset -> the training exemplar that is most like each
    edits    a model and the sample photos -> a page of uncurated edits, with the nearest training exemplar of each
"""
