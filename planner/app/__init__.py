"""The app: the report made live in a browser, from a trace to an endpoint that was changed as the page said."""
