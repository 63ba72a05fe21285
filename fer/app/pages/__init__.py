"""The pages of the dashboard; what they do is in the rooms beside, and they need Streamlit."""
