"""Decoding: a picture's bytes -> upright sRGB, or the reason why not.

Files in the order of the flow:

    headers      bytes -> refused where decoding would cost too much
    profiles     pixels and the colour profile of their file <-> sRGB
    depth        16 bits or floats -> 8 bits
    colour       an image of any mode -> its planes -> RGB: the last two
    orientation  EXIF or Rotation -> how photo and boxes turn upright
    decode       bytes -> upright RGB, or the reason why not: all of the above
    carried      a file -> what a picture made of it keeps besides pixels
    resize       a photo or a part of it -> a square, antialiased
    jpeg         our own pictures <-> JPEG bytes
"""
