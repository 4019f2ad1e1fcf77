"""Break one promise of the code in each copy, and run the check that must notice."""
