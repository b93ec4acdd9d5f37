"""Questions about the platform alone, a program each: growth, requests to S3, cold starts and others."""
