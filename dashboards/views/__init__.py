"""Views: what is on disk -> documents, saved views and pictures for the App.

Files in the order of the flow:

    samples       chosen samples -> documents: four pictures a sample, its labels on the source
    sample_media  a name -> a sample's picture, made from its shard when somebody looks at it
    saved_views   colours, sidebar, and saved views of what is odd
    similar       stored exemplar vectors -> similarity search, near-duplicates and a map
    dropped       photos and fates -> documents: boxes coloured by what became of them
    photo_media   a name -> a photo, upright, or why it was lost
    tagged        tags given in the App -> a CSV of boxes
"""
