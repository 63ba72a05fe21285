"""The script that Streamlit runs; alone in its directory, which Streamlit puts on the path of modules."""
