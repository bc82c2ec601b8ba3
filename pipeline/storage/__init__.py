"""Storage: any URL -> complete files.

Files in the order of the flow:

    s3_objects   the XML of a listing -> its objects, as botocore parses them
    s3_listings  s3fs -> the same, reading listings at an eighth of the CPU time
    urls         a path or URL -> its filesystem
    globs        a quoted pattern -> the URLs that match; a local folder -> all files below it
    names        a name as some system wrote it -> the form in which names are compared, and the path that is stored
    redaction    a text -> the same without credentials
    retries      an action on storage -> the same, retried while its fault may pass
    whole_files  a file or folder -> complete in its place, or not there
    writable     a local folder -> refused where it cannot be written
    scratch      folders for unfinished work, removed after a kill by the next process
    folder       any fsspec URL -> bytes in, complete files out: all of the above
    tables       the bytes of a Parquet file -> its table, on the calling thread alone
    file_locks   an open file -> held by one process until it ends
    holders      who holds an output, and whether that process lives
    object_lock  an output on object storage -> held by the process that renews an object there
    output_lock  one job at a time on an output, wherever it lies
"""
