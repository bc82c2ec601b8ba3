"""Tagged boxes: what `dashboards/browse.py --tagged` lists, and `shard_openimages.py --deny` takes out, as CSV."""

from schemas.boxes import COORDINATE_COLUMNS

# box_id empty: all boxes of the photo. label and the box are the table's, so that a row of another table shows up.
# key (of a sample, may be empty) and tags (with ; between them) are for people: --deny does not look at them.
TAGGED_ID, TAGGED_BOX_ID, TAGGED_LABEL = "image_id", "box_id", "label"
TAGGED_COLUMNS = (TAGGED_ID, TAGGED_BOX_ID, TAGGED_LABEL, *COORDINATE_COLUMNS, "key", "tags")
TAG_SEPARATOR = ";"
