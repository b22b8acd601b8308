"""Pictures and pages made from a run's figures; nothing here computes a metric."""
