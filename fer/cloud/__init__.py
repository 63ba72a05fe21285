"""Commands that train, tune and extract faces in SageMaker, and the programs in the containers of their jobs."""
