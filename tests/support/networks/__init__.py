"""Networks other than MobileNetV2, which the tests make: ONNX files by hand, Keras models by Keras."""
