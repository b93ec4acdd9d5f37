"""Money of jobs that are billed by their workers: prices, costs, the month's spend, and estimates."""
