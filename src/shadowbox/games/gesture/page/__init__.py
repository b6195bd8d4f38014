"""Page of the live loop: its scripts and its style, served by web/live_page.py."""
