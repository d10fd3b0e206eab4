"""Docker's Engine API over HTTP: routes, streams and one table from errors to statuses."""
