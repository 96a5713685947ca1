"""The algorithm: a neural network (PyTorch).

Replace it by any other with `fit`, `save`, `load` and `predict`. The server imports this module, too: import only
torch and numpy.
"""

import copy
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.derive import FEATURE_NAMES
from model.schema import SCHEMA
from modelkit.job import JobError
from modelkit.learning import Rows, Trained
from modelkit.metrics import auc

_ROWS_AT_ONCE = 65_536


class Network(nn.Module):
    """A multilayer perceptron on the matrix of `modelkit.features`, including its preprocessing.

    Numbers are standardised and clipped at 10 standard deviations, so that no value of a request can outweigh all
    others; categories are one-hot encoded; each feature has a column that is 1 for missing values. If you change the
    network, change `model/onnx_twin.py`, too.

    Args:
        hidden_layers: The number of hidden layers.
        hidden_units: The number of units of each.
        dropout: The dropout rate of hidden units.
    """

    def __init__(self, hidden_layers: int, hidden_units: int, dropout: float) -> None:
        super().__init__()
        self.architecture = {"hidden_layers": hidden_layers, "hidden_units": hidden_units, "dropout": dropout}
        categories = {position: len(column.categories) for position, column in enumerate(SCHEMA.features)}
        numbers = [position for position in range(len(FEATURE_NAMES)) if not categories.get(position)]
        places = [(position, code) for position, count in categories.items() for code in range(count)]
        self.numbers: Tensor
        self.category_positions: Tensor
        self.category_codes: Tensor
        self.mean: Tensor
        self.deviation: Tensor
        self.limit: Tensor
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("category_positions", torch.tensor([place for place, _ in places], dtype=torch.int64))
        self.register_buffer("category_codes", torch.tensor([code for _, code in places], dtype=torch.float32))
        self.register_buffer("mean", torch.zeros(len(numbers)))
        self.register_buffer("deviation", torch.ones(len(numbers)))
        self.register_buffer("limit", torch.tensor(10.0))
        width = len(FEATURE_NAMES) + len(numbers) + len(places)
        layers: list[nn.Module] = []
        for _ in range(hidden_layers):
            layers += [nn.Linear(width, hidden_units), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden_units
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def standardise(self, data: Tensor) -> None:
        """Set the means and standard deviations to those of an (n, f + d) matrix."""
        values = data[:, self.numbers].double().numpy()
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0).sum(axis=0) / count
        deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1)))

    def forward(self, data: Tensor) -> Tensor:
        """Return the n logits for an (n, f + d) matrix of n rows."""
        numbers = ((data[:, self.numbers] - self.mean) / self.deviation).clamp(-self.limit, self.limit)
        chosen = data[:, self.category_positions] == self.category_codes
        columns = [torch.nan_to_num(numbers), torch.isnan(data).float(), chosen.float()]
        logits: Tensor = self.layers(torch.cat(columns, dim=1))
        return logits.squeeze(1)


def fit(train: Rows, validation: Rows, hyperparameters: dict[str, float], threads: int) -> Trained:
    """Train until the AUC on the validation rows stops improving, and keep the weights of the best epoch.

    Args:
        train: The training rows.
        validation: The rows for early stopping.
        hyperparameters: A value for each of `HYPERPARAMETERS`.
        threads: The number of threads.

    Raises:
        JobError: Training diverged.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(int(hyperparameters["seed"]))
    model = Network(
        int(hyperparameters["hidden_layers"]), int(hyperparameters["hidden_units"]), hyperparameters["dropout"]
    )
    data, labels = torch.tensor(train.features), torch.tensor(train.labels)
    model.standardise(data)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=hyperparameters["learning_rate"], weight_decay=hyperparameters["weight_decay"]
    )
    curve: dict[str, dict[str, list[float]]] = {"train": {"auc": []}, "validation": {"auc": []}}
    best, best_state = 0, model.state_dict()
    for epoch in range(int(hyperparameters["epochs"])):
        model.train()
        for rows in torch.randperm(len(labels)).split(int(hyperparameters["batch_size"])):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(data[rows]), labels[rows]).backward()
            optimizer.step()
        for split, seen in (("train", train), ("validation", validation)):
            curve[split]["auc"].append(_auc(model, seen))
        scores = curve["validation"]["auc"]
        print(f"[{epoch}]\ttrain-auc:{curve['train']['auc'][-1]:.5f}\tvalidation-auc:{scores[-1]:.5f}")
        if epoch == 0 or scores[-1] > scores[best]:
            best, best_state = epoch, copy.deepcopy(model.state_dict())
        elif epoch - best >= hyperparameters["early_stopping_epochs"]:
            break
    model.load_state_dict(best_state)
    return Trained(model.eval(), best, curve)


def save(model: Network, folder: Path) -> None:
    """Write the model to its folder."""
    torch.save({"architecture": model.architecture, "state": model.state_dict()}, folder / "model.pt")


def load(folder: Path) -> Network:
    """Load the model from its folder, without executing code from the file."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    content = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    model = Network(**content["architecture"])
    model.load_state_dict(content["state"])
    return model.eval()


def predict(data: npt.NDArray[np.float32], model: Network) -> npt.NDArray[np.float32]:
    """Return the n probabilities that the target is true, for an (n, f + d) matrix of n rows."""
    with torch.inference_mode():
        parts = [torch.sigmoid(model(rows)) for rows in torch.tensor(data).split(_ROWS_AT_ONCE)]
    return np.asarray(torch.cat(parts).numpy())


def _auc(model: Network, rows: Rows) -> float:
    model.eval()
    probabilities = predict(rows.features, model)
    if not np.isfinite(probabilities).all():
        raise JobError("training diverged: a prediction is not finite; lower learning_rate (LearningRate)")
    return auc(rows.labels > 0, probabilities)
