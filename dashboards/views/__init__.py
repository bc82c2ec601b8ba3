"""Views: what is on disk -> documents, saved views and pictures for the App.

Files in the order of the flow:

    session        flags and a folder -> its FiftyOne datasets, served, read back or forgotten
    building       what was loaded -> FiftyOne datasets, by one name and its endings
    shown          what is to be looked at, and where its pictures come from
    samples        chosen samples -> documents: four pictures a sample, its labels on the source
    sample_media   a name -> a sample's picture, made from its shard when somebody looks at it
    kept_pictures  a name and how to make its picture -> the picture, the last ones kept
    saved_views    colours, sidebar, and saved views of what is odd
    similar        stored exemplar vectors -> similarity search, near-duplicates and a map
    dropped        photos and fates -> documents: boxes coloured by what became of them
    photo_media    a name -> a photo, upright, or why it was lost
    edited         a folder of edits -> documents: inputs beside what the model made of them
    edit_media     a name -> a source, exemplar, mask or edited picture of a case
    compared       an evaluation -> documents: inputs beside every row's picture, the worst first
    compared_media a name -> a source, exemplar, ground truth, mask, or a row's picture of a case
    training       a training -> documents: sample grids by step, validation losses by sample
    tagged         tags given in the App -> a CSV of boxes
"""
