"""FiftyOne as a machine: a database, datasets as its documents, its own App served by our process.

Files in the order of the flow:

    mongo          this machine and FIFTYONE_DATABASE_URI -> a database that can be used, or one sentence why not
    mongod_keeper  a mongod that ends with the last process that needs it
    database       a folder, or FIFTYONE_DATABASE_URI -> a MongoDB that FiftyOne will use
    named          a stable name -> a FiftyOne dataset of ours
    kept_tags      tags given in the App -> the same tags, on documents written anew
    slices         titles of any characters -> names of slices that FiftyOne can keep
    documents      rows of plain values -> FiftyOne's samples, in bulk
    media          a request for a picture by name -> the picture, or a refusal
    guard          a request -> FiftyOne's App, our pictures, or a refusal
    confined       what a request may have FiftyOne run -> its own view stages, aggregations and operators
    pages          a state of its own for each page
    server         a port, pictures -> the App on 127.0.0.1 until it is interrupted
"""
