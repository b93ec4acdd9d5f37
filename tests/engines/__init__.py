"""What every engine has to do, on its emulator."""
