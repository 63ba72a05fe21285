"""Clips: runs of frames of one face, from video files to windows of a batch."""
