"""What follows the original game: a solid platform, its move table, and rules drawn per match."""
