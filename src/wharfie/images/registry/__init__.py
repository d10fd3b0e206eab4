"""The client of registries: distribution-spec 1.1 and Docker's older ways, both directions."""
