"""People's rights in recordings and runs: covering faces, deleting a person, deleting what is past its date."""
