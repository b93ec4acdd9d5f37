"""What several commands share: options, how a store is opened, and questions before anything is replaced."""
