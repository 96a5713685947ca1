"""The server of a model: SageMaker's container contract, on this machine and in an image of one's own.

A supervisor (`supervisor`) keeps worker processes (`worker`) on one listening socket. A worker answers requests (`app`)
with the handlers and the ONNX twin of one model (`engine`), and writes them down (`recorder`).
"""
