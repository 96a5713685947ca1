"""The hyperparameters of scikit-learn's gradient boosting; each is a parameter of the pipeline.

Their values are in `config/`: `learning_rate` there is the parameter LearningRate. The commands that compile and start
the pipeline import this module, so it must not import the framework.
"""

import math

from modelkit.learning import Hyperparameter

HYPERPARAMETERS = (
    Hyperparameter("max_iter", int, 300, 1, math.inf, "maximum number of trees"),
    Hyperparameter("n_iter_no_change", int, 20, 1, math.inf, "trees without a better AUC before stopping"),
    Hyperparameter("learning_rate", float, 0.1, 1e-6, 1, "weight of each tree"),
    Hyperparameter("max_depth", int, 4, 1, 20, "depth of a tree"),
    Hyperparameter("min_samples_leaf", int, 20, 1, math.inf, "minimum number of rows in a leaf"),
    Hyperparameter("max_features", float, 0.8, 1e-3, 1, "share of the features sampled for each split"),
    Hyperparameter("l2_regularization", float, 1, 0, math.inf, "L2 penalty on leaf values"),
    Hyperparameter("seed", int, 42, 0, 2**31 - 1, "seed of the sampling"),
)
