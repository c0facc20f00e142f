"""What crosses between services: names, messages, workflow and activity signatures."""
