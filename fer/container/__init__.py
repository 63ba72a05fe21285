"""The name by which images of `docker build --target jobs` that were built earlier call their job."""
