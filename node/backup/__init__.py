"""Everything a node is, in one encrypted file, and put back so that its key signs nothing twice."""
