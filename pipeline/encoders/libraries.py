"""Libraries: diffusers and transformers, with their notices and progress bars off; to be imported from here."""

import diffusers
import transformers

__all__ = ["diffusers", "transformers"]

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
