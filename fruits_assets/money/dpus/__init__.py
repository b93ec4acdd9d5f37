"""Money of jobs that are billed by data processing units (DPU): prices, costs, the month's spend, and estimates."""
