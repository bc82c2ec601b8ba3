"""Labels of figures: what users named, shown as it is, and never read as mathematics."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.pictures.funnel import write_funnel
from pipeline.pictures.tiles import draw_tiles
from pipeline.storage.folder import Folder
from schemas.shards import FUNNEL

ODD = "US$ {_^ A$"


def test_a_dollar_in_a_name_is_a_dollar(tmp_path: Path) -> None:
    tile = np.zeros((8, 8, 3), np.uint8)
    assert draw_tiles([[tile]], titles=[ODD], labels=[[ODD]], note=f"runs/{ODD}").any()
    counts = ("boxes_kept", "boxes_beyond_limit", "boxes_in_lost_photos", "boxes_not_drawn", "boxes_drawn")
    totals = {"malformed": {}, "filtered": {f"deny={ODD}": 2, "area": 1}, "draws_dropped": {ODD: 1}, "rows": 9}
    write_funnel(Folder(str(tmp_path)), {**totals, **dict.fromkeys((*counts, "draws_planned", "samples"), 5)})
    with Image.open(tmp_path / FUNNEL) as picture:
        assert picture.size[0] == 900
