"""Cards to be remembered and named: POPGym's diagnostic tasks."""
