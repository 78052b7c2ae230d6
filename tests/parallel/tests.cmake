# Tests of parallel.
