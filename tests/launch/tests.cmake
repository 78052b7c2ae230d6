# Tests of launch.
herd_test(launch/config_command NO_TORCH LIBRARIES herd_launch)
