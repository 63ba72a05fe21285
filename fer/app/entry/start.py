"""What Streamlit runs for each look at the dashboard."""

from fer.app.pages.navigation import show_dashboard

if __name__ == "__main__":
    show_dashboard()
