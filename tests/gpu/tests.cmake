# Tests of the CUDA module on GPUs; ./check --gpu. Each skips, visibly, where a machine has none.
herd_test(gpu/nccl LABELS slow RANKS 1 2 LIBRARIES herd_parallel)
herd_test(gpu/quantised LABELS slow LIBRARIES herd_parallel)
herd_python_test(gpu/train)
herd_python_test(gpu/generate)
