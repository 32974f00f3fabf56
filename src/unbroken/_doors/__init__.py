"""The doors: how calls come in, and how their requests are sent."""
