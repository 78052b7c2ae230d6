# Tests of infer.
