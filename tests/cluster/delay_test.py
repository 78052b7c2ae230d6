"""Training over links with a delay. Skips where the kernel has no netem."""

import sys
import unittest

import nodes_test

if __name__ == "__main__":
    nodes_test.skip_without("--delay", "20ms")
    done = unittest.TextTestRunner(verbosity=2).run(nodes_test.Nodes("delay"))
    sys.exit(not done.wasSuccessful())
