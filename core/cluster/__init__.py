"""The Ray cluster that trials and evaluations run on: how it is reached, and what it can hold."""
