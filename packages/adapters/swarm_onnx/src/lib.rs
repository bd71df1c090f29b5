//! ONNX Runtime: one warmed-up session per policy, golden vectors, a deadline per inference.
