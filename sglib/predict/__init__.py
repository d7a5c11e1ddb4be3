"""From anyone's pictures to answers, by ONNX Runtime: no PyTorch, no pandas, no study.

May import `files` only, so that `pip install .` is enough to predict.
"""
