"""What tests share: photos, stores, servers and places to run commands in."""
