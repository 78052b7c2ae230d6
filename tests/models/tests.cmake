# Tests of models.
herd_test(models/hub LIBRARIES herd_models)
