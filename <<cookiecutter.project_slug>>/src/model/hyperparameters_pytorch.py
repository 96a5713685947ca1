"""The hyperparameters of the neural network; each is a parameter of the pipeline.

Their values are in `config/`: `learning_rate` there is the parameter LearningRate. The commands that compile and start
the pipeline import this module, so it must not import the framework.
"""

import math

from modelkit.learning import Hyperparameter

HYPERPARAMETERS = (
    Hyperparameter("epochs", int, 60, 1, math.inf, "maximum number of epochs"),
    Hyperparameter("early_stopping_epochs", int, 8, 1, math.inf, "epochs without a better AUC before stopping"),
    Hyperparameter("learning_rate", float, 0.005, 1e-6, 1, "learning rate of AdamW"),
    Hyperparameter("batch_size", int, 1024, 1, math.inf, "rows per training step"),
    Hyperparameter("hidden_layers", int, 2, 0, 20, "number of hidden layers"),
    Hyperparameter("hidden_units", int, 64, 1, 4096, "units in each hidden layer"),
    Hyperparameter("dropout", float, 0.3, 0, 0.9, "dropout rate of hidden units"),
    Hyperparameter("weight_decay", float, 0.1, 0, 1, "weight decay of AdamW"),
    Hyperparameter("seed", int, 42, 0, 2**31 - 1, "seed of the initial weights, dropout and row order"),
)
