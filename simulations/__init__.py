"""PREDICT: traffic in, what an autoscaling endpoint does with it out. No network, no clock."""
