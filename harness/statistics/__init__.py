"""Plain arrays in, plain arrays out: credits, resampling, intervals, confidence, length."""
