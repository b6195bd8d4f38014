"""Pages and pictures: self-contained HTML files that work offline and print well; PNG and GIF."""
