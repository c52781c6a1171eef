"""How everything stands: at a glance, as plots, and as measures for Prometheus."""
