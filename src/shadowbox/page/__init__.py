"""Pages: how is a result drawn? One self-contained HTML file each, which works offline and prints well."""
