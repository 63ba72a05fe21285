"""What leaves a study: its tables for people, statistics programs and tools of annotation; a file a format."""
