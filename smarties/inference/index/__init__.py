"""Archives of vectors that can be searched: building, asking, exact and approximate neighbours."""
