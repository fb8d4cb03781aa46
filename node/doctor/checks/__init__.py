"""One module for each subject; in each, what is looked up stands apart from what is made of it."""
