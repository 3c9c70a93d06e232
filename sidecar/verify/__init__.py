"""Would one answer serve both questions? Guards and scores over candidates."""
