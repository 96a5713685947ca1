"""The model server: SageMaker's container contract, on this machine and in the project's own image.

A supervisor (`supervisor`) runs worker processes (`worker`) on one listening socket. A worker answers requests (`app`)
with the handlers and the ONNX twin of one model (`engine`), and captures them (`recorder`).
"""
