"""Methods of sweeps that do not train every setting to its end."""
