"""Dropout, seen: a page that draws the masks of a network, and shows what follows from them."""
