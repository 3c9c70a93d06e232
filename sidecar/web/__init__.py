"""HTTP: the data plane that apps call and the admin plane that operators call."""
