# Tests of contract.
