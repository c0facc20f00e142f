"""The commands that operate orders: `pip install fuze-client[cli]`, or a part of `fuze`."""
