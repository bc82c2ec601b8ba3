"""Overlap: a row for each pair of photos that two sets share, and where each file of such a search lies."""

import pyarrow as pa

OVERLAP = pa.schema(
    [
        pa.field("photo", pa.string()),  # of the training set
        pa.field("split", pa.string()),  # of the dataset that it is in; empty: no dataset was named
        pa.field("other", pa.string()),  # of the bench, or the other dataset
        pa.field("found_by", pa.string()),  # flickr id | pixels | flickr id and pixels
        pa.field("flickr_id", pa.int64()),  # null: not known, or not equal
        pa.field("turn", pa.string()),  # what makes `other` look like `photo`; null where pixels did not find it
        pa.field("bits", pa.int32()),  # of 63 in which the hashes of two windows differ; null likewise
        pa.field("inliers", pa.int32()),  # ORB keypoints that one affine map takes to each other; null likewise
        pa.field("correlation", pa.float32()),  # of details of the pixels so aligned, -1..1; null likewise
    ]
)

OVERLAP_TABLE = "overlap.parquet"
OVERLAP_FACTS = "overlap.json"
OVERLAP_SHEET = "overlap.jpg"
BLOCKS = "blocks"  # results of finished blocks of photos
