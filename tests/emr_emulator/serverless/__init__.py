"""EMR Serverless: applications are moto's, and each job run is a real spark-submit with executors of its own."""
