# Tests of models.
herd_test(models/hub LIBRARIES herd_models)
herd_test(models/config LIBRARIES herd_models)
herd_test(models/grow LIBRARIES herd_models)
