"""Work in tasks of fixed size, which give the same results wherever they run."""
