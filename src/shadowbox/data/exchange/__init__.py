"""Exchange of episodes with other programs: tables of frames as parquet files, both ways."""
