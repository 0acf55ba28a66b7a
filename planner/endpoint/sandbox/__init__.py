"""A local workspace that speaks the serving-endpoints API, to rehearse in before production."""
