"""From pictures of faces to a labelled data set: labels by models, agreement among them, corrections by people."""
