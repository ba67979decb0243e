"""Tables of places: what is known of each, and which species were found there."""
