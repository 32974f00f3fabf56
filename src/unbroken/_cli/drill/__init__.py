"""`unbroken drill`: real answers of a model, cut here at random places, resumed, and judged."""
