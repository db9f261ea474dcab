"""Speed against references measured in the same run. Never part of the tests: machines are shared and noisy."""
