"""Sample views: a dataset of samples -> how the App shows it: colours, sidebar, and saved views of what is odd."""

from typing import Any

import fiftyone as fo
from fiftyone import ViewField

from dashboards.training_run import LOSSES
from dashboards.views.sample_media import SLICES
from schemas.samples import JITTER
from schemas.shards import SPLITS

BOX_COLOUR, MASK_COLOUR = "#ffc400", "#00e5ff"  # as in overview.png
REPAINT = 255
SHOWN = ("label_name", "mask_outline", "box")
SIDEBAR = {
    "what is drawn over the source": ("box", "mask_outline", "mask", "latent_mask"),
    "sample": (
        "label_name",
        "split",
        "image_id",
        "box_id",
        "draw",
        "mask_shape",
        "fit",
        "augmentation",
        "jitter",
        "key",
    ),
    "quality": (
        "mask_share",
        "cover",
        "around",
        "box_share",
        "area",
        "box_mask_ratio",
        "at_border",
        "squashed",
        "augmentation_strength",
    ),
    "losses in validation": (*LOSSES, "loss_not_finite", "timestep"),
    "augmentation": ("flip", "rotate_degrees", "blur_px", "affine_px"),
    "jitter": tuple(f"jitter_{field.name}" for field in JITTER),
}
FOLDED = ("augmentation", "jitter")
# What a saved view is called -> the field that it sorts by, and whether the largest come first.
SORTED = {
    "smallest masks": ("mask_share", False),
    "most mask around the box": ("around", True),
    "least cover": ("cover", False),
}


def set_up_samples(dataset: Any) -> None:
    """Set colours, sidebar and saved views; views and colours that the user saved under other names stay."""
    dataset.default_mask_targets = {REPAINT: "repaint"}
    dataset.app_config.active_fields = fo.ActiveFields(paths=list(SHOWN))
    dataset.app_config.color_scheme = _colours()
    dataset.app_config.sidebar_groups = _sidebar(dataset)
    dataset.save()
    for name, (view, description) in _views(dataset).items():
        dataset.save_view(name, view, description=description, overwrite=True)


def _colours() -> Any:
    repaint = [{"intTarget": REPAINT, "color": MASK_COLOUR}]
    return fo.ColorScheme(
        color_by="field",
        opacity=0.7,
        fields=[
            {"path": "box", "fieldColor": BOX_COLOUR},
            {"path": "mask_outline", "fieldColor": MASK_COLOUR},
            {"path": "mask", "fieldColor": MASK_COLOUR, "maskTargetsColors": repaint},
        ],
        colorscales=[{"path": "latent_mask", "name": "viridis"}],
    )


def _sidebar(dataset: Any) -> list[Any]:
    """Group the fields by what they say; what remains comes last, folded."""
    schema = set(dataset.get_field_schema())
    present = {name: [path for path in paths if path in schema] for name, paths in SIDEBAR.items()}
    groups = [
        fo.SidebarGroupDocument(name=name, paths=paths, expanded=name not in FOLDED)
        for name, paths in present.items()
        if paths
    ]
    named = {path for group in groups for path in group.paths}
    hidden = {"id", "filepath", "tags", "metadata", "group", "created_at", "last_modified_at"}
    rest = sorted(schema - named - hidden)
    return [
        fo.SidebarGroupDocument(name="tags", paths=["tags", "_label_tags"]),
        *groups,
        fo.SidebarGroupDocument(name="all else in the index", paths=rest, expanded=False),
    ]


def _views(dataset: Any) -> dict[str, tuple[Any, str]]:
    """Make the saved views, each with one line that says what it shows."""
    sources = dataset.select_group_slices("source")
    exemplars = dataset.select_group_slices(["exemplar", "augmented"])
    everything = dataset.select_group_slices(list(SLICES))
    views = {
        name: (dataset.sort_by(field, reverse=reverse), f"sorted by {field}")
        for name, (field, reverse) in SORTED.items()
    }
    views |= {
        "at the border": (dataset.match(ViewField("at_border")), "the mask reaches the edge of the crop"),
        "squashed": (dataset.match(ViewField("squashed")), "the box is longer than a square crop: fit = squash"),
        "strongest augmentation": (
            exemplars.sort_by([("augmentation_strength", -1), ("key", 1), ("group.name", -1)]),
            "exemplars beside their augmentation",
        ),
        "per class": (sources.group_by("label_name"), "one stack a class"),
        "draws of a photo": (sources.group_by("image_id", order_by="draw"), "one stack a photo, its draws in order"),
        "boxes, cut out": (sources.to_patches("box"), "the box of each sample by itself"),
        "all pictures in rows": (
            everything.sort_by([("key", 1), ("group.name", -1)]),
            "source, masked source, exemplar and augmented exemplar of each sample, side by side",
        ),
    }
    present = set(sources.distinct("split"))
    for split in (split for split in SPLITS if split in present):
        views[f"split: {split}"] = (dataset.match(ViewField("split") == split), f"samples of the {split} split")
    return views
