#!/usr/bin/env python3
"""Edit: source, mask and exemplar -> pictures whose hole shows the exemplar's object.

python -m pbe.edit --model MODEL --source S --mask M --exemplar E --out O [--flags]

from pbe.edit import edit, load_editor
pictures = edit(load_editor("runs/demo/train/model"), "photo.jpg", "mask.png", "exemplar.jpg", n=4)
"""

import sys

if __name__ == "__main__":  # before torch and diffusers are imported, which --help and refusals need not wait for
    from pbe.edit_command import main

    sys.exit(main(sys.argv[1:]))

from pbe.editing.editor import Editor, edit, load_editor

__all__ = ["Editor", "edit", "load_editor"]
