# Tests of parity.
