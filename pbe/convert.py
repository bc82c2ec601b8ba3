"""Convert a Paint by Example model: a folder, .ckpt or hub id -> diffusers' folder, or ours.

    python -m pbe.convert --model SOURCE --out FOLDER [--flags]

Running the same command again writes the same folder.
"""

import sys

if __name__ == "__main__":
    from pbe.convert_command import main

    sys.exit(main(sys.argv[1:]))
