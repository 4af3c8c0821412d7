"""The council: what a user holds, and the graph of one turn."""
