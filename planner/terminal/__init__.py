"""What the commands print: sentences and tables, from the same view models and in the same digits as the pages."""
