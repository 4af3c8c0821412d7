"""Where the public data lies in a checkout; tests that need it are skipped where it does not."""

from consilium.settings import data_folder

SHARED = data_folder("personas").parent.parent / "shared" / "data"
