"""Pages: one self-contained HTML file each, which works offline and prints well."""
