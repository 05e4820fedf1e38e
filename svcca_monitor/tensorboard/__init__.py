"""What a run shows in TensorBoard, written without TensorFlow."""
