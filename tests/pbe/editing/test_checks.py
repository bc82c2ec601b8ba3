"""An edit that cannot work is refused by flag and value, before torch is imported, and leaves nothing behind."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.pbe.editing.tiny_model import write_pictures
from tests.pbe.refusals import Refusal, assert_refused_at_once, files_of, refuse_all

pytestmark = pytest.mark.processes


def _edit(*changes: str, model: str = "model", out: str = "out.png", **pictures: str) -> list[str]:
    """An edit that would work, but for the changes; a picture named "" is left out."""
    given = {"source": "in/source.png", "mask": "in/mask.png", "exemplar": "in/exemplar.png", **pictures}
    flags = [part for name, path in given.items() if path for part in (f"--{name}", path)]
    return ["--model", model, *flags, "--out", out, *changes]


# name: (arguments, what the message says: flag, value and remedy)
REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    "unknown flag": (_edit("--gidance", "3"), ["--gidance"]),
    "scale": (_edit("--guidance", "0.5"), ["--guidance 0.5", "from 1 to 1000"]),
    "scale of words": (_edit("--guidance", "5,x"), ["--guidance 5,x", "give a number, or several"]),
    "scales of one name": (_edit("--guidance", "5,5.000001"), ["--guidance 5,5.000001", "each scale once"]),
    "no picture": (_edit("--n", "0"), ["--n 0", "from 1"]),
    "many steps": (_edit("--steps", "1000"), ["--steps 1000", "from 1 to 500"]),
    "steps": (_edit("--steps", "0"), ["--steps 0", "from 1 to 500"]),
    "no encoder": (_edit("--vae", "none"), ["--vae none", "leave --vae out"]),
    "blends": (_edit("--paste-back", "--blend", "crop"), ["--paste-back and --blend crop", "give one of them"]),
    "model missing": (_edit(model="/nowhere/model"), ["--model /nowhere/model: no such folder", "give the path"]),
    "model in a folder that is there": (_edit(model="in/model"), ["--model in/model: no such folder"]),
    "checkpoint missing": (_edit(model="pbe.ckpt"), ["--model pbe.ckpt: no such folder or file"]),
    "model without UNet": (_edit(model="in"), ["in: has no unet folder", "give a diffusers folder"]),
    "model of another kind": (_edit(model="in/mask.png"), ["--model in/mask.png: ends in none of .safetensors"]),
    "training without model": (_edit(model="run"), ["run: a training without a model yet", "--export-only"]),
    "model without VAE": (_edit(model="bare"), ["--model bare: holds no vae", "name one with --vae"]),
    "Stable Diffusion": (_edit(model="plain"), ["plain: has no exemplar conditioner", "give a diffusers folder"]),
    "model of pictures": (
        _edit(model="pictures"),
        ["pictures/scheduler/", "prediction_type is 'sample'; give a model"],
    ),
    "model not on the hub": (_edit(model="no-one/nothing"), ["--model no-one/nothing: not a folder here, and the hub"]),
    "vae not on the hub": (_edit("--vae", "no-one/nothing:vae"), ["--vae no-one/nothing:vae: cannot be loaded"]),
    "vae missing": (_edit("--vae", "./vae"), ["--vae ./vae: no such folder or file"]),
    "clip missing": (_edit("--clip", "~/clip"), ["--exemplar-encoder ~/clip: no such folder or file"]),
    "resolution": (_edit("--resolution", "20"), ["--resolution 20: give a multiple of 8"]),
    "huge resolution": (_edit("--resolution", "9000"), ["--resolution 9000: give px up to 4096"]),
    "device": (_edit("--device", "meta"), ["--device meta", "give cpu"]),
    "source missing": (_edit(source="in/none.png"), ["source in/none.png: cannot be read (no such file)"]),
    "source not given": (_edit(source=""), ["--source: is missing"]),
    "exemplar of text": (_edit(exemplar="in/text.png"), ["exemplar in/text.png: cannot be read as a picture"]),
    "exemplar cut": (_edit(exemplar="in/cut.png"), ["exemplar in/cut.png: cannot be read as a picture"]),
    "mask of another shape": (_edit(mask="in/square.png"), ["40 x 40 px for a source of 56 x 40", "make it on the"]),
    "mask turned": (_edit(mask="in/turned.png"), ["40 x 56 px", "make it on the upright picture"]),
    "mask empty": (
        _edit(mask="in/empty.png"),
        ["in/empty.png: is not a mask as it stands: nothing of it is white", "--repaint"],
    ),
    "box and repaint": (
        _edit("--box", "0,0,9,9", "--repaint", "black", mask=""),
        ["--repaint black and --box: a box is repainted whole"],
    ),
    "mask and box": (_edit("--box", "0,0,9,9"), ["--mask, --box: give one of the two"]),
    "box outside": (_edit("--box", "0,0,57,9", mask=""), ["--box 0,0,57,9", "56 x 40 px", "x1 up to 56"]),
    "box of words": (_edit("--box", "a,b,c,d", mask=""), ["--box a,b,c,d: give four whole numbers"]),
    "box empty": (_edit("--box", "5,5,5,9", mask=""), ["--box 5,5,5,9: no pixel lies in it"]),
    "compat size": (_edit("--compat", source="in/odd.png", mask="in/odd.png"), ["50 x 36 px", "multiples of 8 px"]),
    "suffix": (_edit(out="out.gif"), ["--out out.gif: ends in .gif", ".png"]),
    "out with a long name": (_edit(out=f"{'x' * 300}.png"), ["its name has more than 200 bytes; give a shorter one"]),
    "out behind a broken link": (_edit(out="in/broken/a.png"), ["in/broken is a link that leads nowhere"]),
    "out is an input by another path": (_edit(out="in/link.png"), ["in/link.png would replace an input"]),
    "source and exemplar missing": (
        _edit(source="in/none.png", exemplar="in/no.jpg"),
        ["2 mistakes", "\n  source in/none.png: cannot be read", "\n  exemplar in/no.jpg: cannot be read"],
    ),
    "out empty": (_edit(out=""), ["--out: is empty"]),
    "out below a file": (_edit(out="in/mask.png/a.png"), ["in/mask.png is a file"]),
    "out is a folder": (_edit(out="folder.png"), ["folder.png: is a folder"]),
    "out is a file": (_edit(out="in/file"), ["in/file is a file"]),
    "out is an input": (_edit(out="in/source.png"), ["would replace an input"]),
    "lossy": (_edit("--paste-back", out="out.jpg"), ["out.jpg: JPEG changes the pixels", "give .png or .webp"]),
    "cases with a bad box": (
        ["--model", "model", "--cases", "in/cases.csv", "--out", "out"],
        ["--cases in/cases.csv line 3: --box 9,9,5,5: no pixel lies in it"],
    ),
    "cases with many mistakes": (
        ["--model", "model", "--cases", "in/wrong.csv", "--out", "in"],
        [
            "--cases in/wrong.csv: 10 mistakes; nothing was made:",
            "\n  --cases in/wrong.csv line 6: mask, box: give one of the two",
            "\n  --cases in/wrong.csv line 8: nowhere://a.png: Protocol not known: nowhere",
            "\n  --cases in/wrong.csv line 9: 'in/b\\x00.png': holds a NUL character",
            "\n  --cases in/wrong.csv: cases a and A would both write A.png; fill a column name",
            "in/exemplar.png would replace an input; give another place or name",
            "\n  source in/none.png: cannot be read (no such file); give an existing file or URL (case gone)",
            "\n  exemplar in/text.png: cannot be read as a picture (not_an_image: ",
            "give another file (cases gone, a, A and 1 more)",
            "\n  mask in/square.png: 40 x 40 px for a source of 56 x 40; make it on the source (case a)",
            "\n  mask in/empty.png: is not a mask as it stands",
            "\n  --box 0,0,57,9: leaves the source of 56 x 40 px",
        ],
    ),
    "cases on a contact sheet": (
        ["--model", "model", "--cases", "in/sheet.csv", "--out", "in"],
        ["in/contact-sheet.jpg would replace an input; give another place"],
    ),
    "cases missing": (["--model", "model", "--cases", "no.csv", "--out", "out"], ["--cases no.csv", "no such file"]),
    "cases made otherwise": (
        ["--model", "model", "--cases", "in/done.csv", "--out", "done", "--steps", "7"],
        ["holds 1 cases made otherwise: a (steps 5 -> 7", "--overwrite"],
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, tables, and folders that hold no more of a model than its configs."""
    place = tmp_path_factory.mktemp("checks")
    source = write_pictures(place / "in")["source"]
    for name, size, white in (("empty", (56, 40), 0), ("square", (40, 40), 255), ("turned", (40, 56), 255)):
        Image.new("L", size, white).save(place / "in" / f"{name}.png")
    Image.new("L", (50, 36), 255).save(place / "in" / "odd.png")
    (place / "folder.png").mkdir()
    (place / "in/file").touch()
    (place / "in/text.png").write_text("no picture")
    (place / "in/cut.png").write_bytes(source.read_bytes()[:200])
    (place / "in/cases.csv").write_text('source,exemplar,box\nsource.png,exemplar.png,"0,0,9,9"\na,b,"9,9,5,5"\n')
    rows = ["source,exemplar,mask,box,name", "source.png,exemplar.png,mask.png,,ok", "none.png,text.png,mask.png,,gone"]
    rows += ["source.png,text.png,square.png,,a", "source.png,text.png,empty.png,,A", "source.png,exemplar.png,,,six"]
    rows += ['source.png,text.png,,"0,0,57,9",exemplar']
    rows += ["nowhere://a.png,text.png,mask.png,,url", "b\0.png,text.png,mask.png,,nul"]
    (place / "in/wrong.csv").write_text("\n".join(rows))
    (place / "in/contact-sheet.jpg").write_bytes(source.read_bytes())
    (place / "in/sheet.csv").write_text("source,exemplar,mask\ncontact-sheet.jpg,exemplar.png,mask.png\n")
    (place / "in/broken").symlink_to(place / "nowhere")
    (place / "in/link.png").symlink_to(source)
    (place / "in/done.csv").write_text("source,exemplar,mask,name\nsource.png,exemplar.png,mask.png,a\n")
    (place / "done").mkdir()
    case = {"name": "a", "source": "source.png", "exemplar": "exemplar.png", "mask": "mask.png", "guidance": [5.0]}
    settings = {"steps": 5, "scheduler": "pndm", "compat": False, "batch": 8, "blend": "hole"}
    record = {"case": {**case, "seeds": [0]}, "settings": settings, "inputs": {}}
    (place / "done/a.json").write_text(json.dumps(record))
    for folder, widths in (("model/unet", (8, 8, 8)), ("model/vae", (8, 16)), ("bare/unet", (8, 8, 8))):
        (place / folder).mkdir(parents=True)
        (place / folder / "config.json").write_text(json.dumps({"block_out_channels": widths}))
    for folder in ("model", "bare"):
        (place / folder / "model_index.json").write_text('{"_class_name": "PaintByExamplePipeline"}')
    (place / "plain/unet").mkdir(parents=True)
    for folder in ("pictures/unet", "pictures/scheduler", "model/image_encoder"):
        (place / folder).mkdir(parents=True)
    (place / "pictures/scheduler/scheduler_config.json").write_text('{"prediction_type": "sample"}')
    (place / "model/image_encoder/config.json").write_text("{}")
    (place / "run/checkpoints").mkdir(parents=True)
    return place


@pytest.fixture(scope="module")
def refusals(place: Path) -> dict[str, Refusal]:
    before = files_of(place)
    refusals = refuse_all("pbe.edit", {name: arguments for name, (arguments, _) in REFUSALS.items()}, folder=place)
    assert files_of(place) == before  # nothing was left behind
    return refusals


@pytest.mark.parametrize("name", REFUSALS)
def test_a_mistake_is_refused_by_flag_value_and_remedy_before_torch(name: str, refusals: dict[str, Refusal]) -> None:
    assert_refused_at_once(refusals[name], REFUSALS[name][1])
