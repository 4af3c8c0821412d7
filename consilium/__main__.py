"""``python -m consilium``."""

from consilium.cli.main import main

main()
