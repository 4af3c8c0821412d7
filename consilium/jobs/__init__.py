"""Jobs: thousands of rows through the council, to be cut off and gone on with at any time."""
