"""Photos: id -> bytes -> upright RGB, or the reason why not.

Files in the order of the flow:

    formats        which names may be photos, which decoders are tried
    id_forms       what ids look like; the path of a file -> the ids that may mean it
    archives       a tar of photos -> where each photo lies in it
    loose_files    a local folder -> where each photo lies in it
    bounded_reads  a name in a folder -> a picture's bytes, within a limit
    copies         several places of a photo -> the same bytes, or a refusal
    store          image id -> bytes, from folders and tars
    headers        bytes -> refused where decoding would cost too much
    profiles       pixels and the colour profile of their file <-> sRGB
    depth          16 bits or floats -> 8 bits
    colour         an image of any mode -> its planes -> RGB: the last two
    orientation    EXIF or Rotation -> how photo and boxes turn upright
    decode         bytes -> upright RGB, or the reason why not: the last five
    carried        a file -> what a picture made of it keeps besides pixels
    resize         a photo or a part of it -> a square, antialiased
    jpeg           our own pictures <-> JPEG bytes
    fingerprints   a photo -> hashes of its bytes and of its looks
    sample_photos  photos in scikit-image and scikit-learn -> an Open Images folder
"""
