"""What the tests of AWS share."""
