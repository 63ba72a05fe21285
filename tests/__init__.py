"""The project's tests; without this file a package of the same name that a dependency installs would come first."""
