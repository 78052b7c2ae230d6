# Tests of sweep.
herd_test(sweep/space NO_TORCH LIBRARIES herd_sweep)
herd_test(sweep/asha NO_TORCH LIBRARIES herd_sweep)
herd_test(sweep/queue NO_TORCH LIBRARIES herd_sweep)
herd_test(sweep/results NO_TORCH LIBRARIES herd_sweep)
herd_test(sweep/plan NO_TORCH LIBRARIES herd_launch)
