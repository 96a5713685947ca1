"""The hyperparameters of XGBoost; each is a parameter of the pipeline.

Their values are in `config/`: `learning_rate` there is the parameter LearningRate. The commands that compile and start
the pipeline import this module, so it must not import the framework.
"""

import math

from modelkit.learning import Hyperparameter

HYPERPARAMETERS = (
    Hyperparameter("num_round", int, 300, 1, math.inf, "most trees to grow"),
    Hyperparameter("early_stopping_rounds", int, 20, 1, math.inf, "trees without a better AUC before stopping"),
    Hyperparameter("learning_rate", float, 0.1, 1e-6, 1, "weight of each tree"),
    Hyperparameter("max_depth", int, 4, 1, 20, "depth of a tree"),
    Hyperparameter("min_child_weight", float, 20, 0, math.inf, "least weight of the rows in a leaf"),
    Hyperparameter("subsample", float, 0.8, 1e-3, 1, "share of the rows each tree sees"),
    Hyperparameter("colsample_bytree", float, 0.8, 1e-3, 1, "share of the features each tree sees"),
    Hyperparameter("reg_lambda", float, 1, 0, math.inf, "L2 penalty on leaf weights"),
    Hyperparameter("gamma", float, 0, 0, math.inf, "least gain of a split"),
    Hyperparameter("seed", int, 42, 0, 2**31 - 1, "seed of the sampling"),
)
