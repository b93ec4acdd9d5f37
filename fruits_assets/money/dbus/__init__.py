"""Money of jobs on clusters of Databricks, which are billed by DBUs, and by AWS for their machines."""
